import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { type Applier, createApplier } from "./applycache.ts";
import type { KubeClient } from "./client.ts";
import { createInformer, type Informer } from "./informer.ts";
import { KINDS } from "./kinds.ts";
import type { KubeObject } from "./objects.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { type RealServer, startRealServer } from "./testing/realserver.ts";
import { until } from "./testing/until.ts";

const OWNER = { owner: "cell" };
const DEADLINE_MS = 60_000;

let real: RealServer;
let us: KubeClient;
let them: KubeClient;
let informer: Informer<KubeObject>;
let applier: Applier;
let stop: AbortController;
let running: Promise<void>;
let name: string;
let counter = 0;

beforeAll(async () => {
  real = await startRealServer();
  us = real.client("us");
  them = real.client("them");
});
beforeEach(async () => {
  name = `object-${++counter}`;
  stop = new AbortController();
  const silent = { log: silentLog, metrics: silentMetrics };
  informer = createInformer({ client: us, ref: KINDS.configMap, namespace: "default", ...silent });
  running = informer.run(stop.signal);
  await informer.synced(stop.signal);
  applier = make();
});
afterEach(async () => {
  stop.abort();
  await running;
});
afterAll(() => real?.close());

/** What a process knows that has just started. */
const make = () =>
  createApplier({
    client: us,
    refOf: () => KINDS.configMap,
    storeOf: () => informer.store,
    metrics: silentMetrics,
    hashAnnotation: "tests/hash",
  });
const wish = (data: Record<string, string>): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data,
});
/** Writes that the API server received from us for this object. */
const sent = () =>
  real.asked("us").filter(({ verb, objectRef }) => verb === "patch" && objectRef?.name === name).length;
const live = async () => {
  const result = await us.get(KINDS.configMap, { name, namespace: "default" });
  if (!result.ok) throw new Error(result.message);
  return result.value;
};
const shown = async () => {
  const { resourceVersion } = (await live()).metadata;
  const key = `default/${name}`;
  await until(
    "the copy shows the object",
    () => informer.store.get(key)?.metadata.resourceVersion === resourceVersion,
    DEADLINE_MS,
  );
};

it("sends an unchanged object once, also when the process is new", async () => {
  expect(await applier.apply(wish({ a: "1" }), OWNER)).toMatchObject({ value: { kind: "applied" } });
  // At once, when the copy may not show it yet, and later.
  expect(await applier.apply(wish({ a: "1" }), OWNER)).toMatchObject({ ok: true });
  await shown();
  const before = sent();
  const { resourceVersion } = (await live()).metadata;
  for (const one of [applier, make()])
    expect(await one.apply(wish({ a: "1" }), OWNER)).toMatchObject({ value: { kind: "unchanged" } });
  expect(sent()).toBe(before);
  expect((await live()).metadata.resourceVersion).toBe(resourceVersion);
  expect(await applier.apply(wish({ a: "2" }), OWNER)).toMatchObject({
    value: { kind: "applied", changed: true },
  });
  expect(sent()).toBe(before + 1);
});

it("names who else owns a field, changes nothing, and takes the field over when told to", async () => {
  await them.apply(KINDS.configMap, wish({ a: "theirs" }));
  await shown();
  const refused = await applier.apply(wish({ a: "ours" }), { ...OWNER, force: false });
  expect(refused).toMatchObject({ ok: false, code: "conflict", status: 409 });
  expect(refused.ok ? "" : refused.message).toMatch(/conflict with "them".*\.data\.a/s);
  expect((await live()).data).toEqual({ a: "theirs" });
  // The refusal is not remembered as done.
  expect(await applier.apply(wish({ a: "ours" }), OWNER)).toMatchObject({ value: { changed: true } });
  const after = await live();
  expect(after.data).toEqual({ a: "ours" });
  const managers = after.metadata.managedFields as { manager: string }[];
  expect(managers.map(({ manager }) => manager)).toEqual(["us"]);
  expect(await them.apply(KINDS.configMap, wish({ a: "theirs" }), { force: false })).toMatchObject({
    code: "conflict",
  });
});

it("writes again what somebody else changed, and leaves alone what is theirs", async () => {
  await applier.apply(wish({ a: "1" }), OWNER);
  await shown();
  await them.patch(KINDS.configMap, { name, namespace: "default" }, { data: { b: "theirs" } });
  await shown();
  const before = sent();
  expect(await applier.apply(wish({ a: "1" }), OWNER)).toMatchObject({ value: { kind: "unchanged" } });
  expect(sent()).toBe(before);
  await them.patch(KINDS.configMap, { name, namespace: "default" }, { data: { a: "wrong" } });
  await shown();
  expect(await applier.apply(wish({ a: "1" }), OWNER)).toMatchObject({ value: { changed: true } });
  expect((await live()).data).toEqual({ a: "1", b: "theirs" });
  expect(sent()).toBe(before + 1);
});

it("makes an object again that somebody deleted", async () => {
  await applier.apply(wish({ a: "1" }), OWNER);
  await shown();
  const { uid } = (await live()).metadata;
  await them.remove(KINDS.configMap, { name, namespace: "default" });
  await until("the copy shows no object", () => !informer.store.get(`default/${name}`), DEADLINE_MS);
  expect(await applier.apply(wish({ a: "1" }), OWNER)).toMatchObject({ value: { changed: true } });
  expect((await live()).metadata.uid).not.toBe(uid);
});

it("drops what it made by create and no longer wants, and keeps what the server defaulted", async () => {
  const container = (env: Record<string, string>) => ({
    name: "main",
    image: "registry.example/main:1",
    env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
  });
  const deployment = (env: Record<string, string>): KubeObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [container(env)] } },
    },
  });
  const silent = { log: silentLog, metrics: silentMetrics };
  const followed = createInformer({ client: us, ref: KINDS.deployment, namespace: "default", ...silent });
  const following = followed.run(stop.signal);
  await followed.synced(stop.signal);
  const creating = createApplier({
    client: us,
    refOf: () => KINDS.deployment,
    storeOf: () => followed.store,
    metrics: silentMetrics,
    hashAnnotation: "tests/hash",
    manager: "us",
  });
  const put = async (wanted: KubeObject) => {
    const result = await creating.apply(wanted, OWNER);
    if (!result.ok) throw new Error(result.message);
    await until("the write is shown", () => creating.caughtUp(OWNER.owner), DEADLINE_MS);
    return result.value;
  };
  const asked = () =>
    real
      .asked("us")
      .filter(({ verb, objectRef }) => objectRef?.name === name && verb !== "get")
      .map(({ verb }) => verb);

  await put(deployment({ OLD: "1", KEPT: "1" }));
  expect(await put(deployment({ OLD: "1", KEPT: "1" }))).toMatchObject({ kind: "unchanged" });
  const made = (await us.get(KINDS.deployment, { name, namespace: "default" })) as { value: KubeObject };

  await put(deployment({ KEPT: "1" }));
  await put(deployment({ KEPT: "2" }));
  const changed = (await us.get(KINDS.deployment, { name, namespace: "default" })) as { value: KubeObject };
  const without = (object: KubeObject) => {
    const spec = structuredClone(object.spec) as { template: { spec: { containers: { env?: unknown }[] } } };
    for (const one of spec.template.spec.containers) delete one.env;
    return spec;
  };
  const { containers } = (changed.value.spec as { template: { spec: { containers: { env: unknown }[] } } })
    .template.spec;
  expect(containers[0]?.env).toEqual([{ name: "KEPT", value: "2" }]);
  expect(without(changed.value)).toEqual(without(made.value));
  // Made; looked at, handed over and applied; applied.
  expect(asked()).toEqual(["create", "patch", "patch", "patch", "patch"]);
  stop.abort();
  await following;
});
