import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { createApi } from "../../local/cluster/api.ts";
import { createApplier } from "./applycache.ts";
import { createKubeClient, type KubeClient } from "./client.ts";
import { podConfig } from "./config.ts";
import { createEventRecorder } from "./events.ts";
import { createInformer } from "./informer.ts";
import { KINDS } from "./kinds.ts";
import type { KubeObject } from "./objects.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { type RealServer, startRealServer } from "./testing/realserver.ts";
import { until } from "./testing/until.ts";
import { createVirtualTime } from "./testing/virtualtime.ts";

const ACCOUNT = { namespace: "default", name: "reader" };
const NAME = { namespace: "default", name: "read" };
const MANY = 40;

let real: RealServer;
let folder: string;
let client: KubeClient;
beforeAll(async () => {
  real = await startRealServer();
  const admin = real.client("admin");
  const config = { apiVersion: "v1", kind: "ConfigMap", metadata: NAME, data: {} };
  const group = "rbac.authorization.k8s.io";
  const binding = {
    ...{ apiVersion: `${group}/v1`, kind: "ClusterRoleBinding", metadata: { name: "reader" } },
    roleRef: { apiGroup: group, kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", ...ACCOUNT }],
  };
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: ACCOUNT };
  for (const made of [
    await admin.create(KINDS.configMap, config),
    await admin.create(KINDS.serviceAccount, account),
    await admin.create(KINDS.clusterRoleBinding, binding),
  ])
    if (!made.ok) throw new Error(made.message);
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(async () => {
  await client.close();
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => real?.close());

const certificate = (name: string) => readFileSync(join(dirname(real.kubeconfigPath), name), "utf8");
const write = (file: "token" | "ca.crt", content: string) => writeFileSync(join(folder, file), content);

const freshToken = () => createApi(real.server.url, dirname(real.kubeconfigPath)).tokenOf(ACCOUNT);

it("goes on with another token and another certificate authority when their files have changed", async () => {
  const time = createVirtualTime();
  write("token", await freshToken());
  // An authority that did not sign this server's certificate.
  write("ca.crt", certificate("etcd-ca.crt"));
  const config = podConfig(folder, "127.0.0.1", new URL(real.server.url).port, time);
  const silent = { log: silentLog, metrics: silentMetrics };
  client = createKubeClient(config, { ...silent, userAgent: "pod", fieldManager: "pod" });
  const read = () => client.get(KINDS.configMap, NAME, { attempts: 1 });
  expect(await read()).toMatchObject({ ok: false, code: "unavailable" });
  write("ca.crt", certificate("ca.crt"));
  await time.advance(61_000);
  expect((await read()).ok).toBe(true);
  write("token", "no token");
  await time.advance(61_000);
  expect(await read()).toMatchObject({ ok: false, code: "unauthorized" });
  // Refused with what it had read a moment ago, it reads the file again without waiting.
  write("token", await freshToken());
  expect((await read()).ok).toBe(true);
});

it("serves calls beside more watches than the pool of calls has connections", async () => {
  client = real.client("many");
  const stop = new AbortController();
  const opened = await Promise.all(
    Array.from({ length: MANY }, () =>
      client.watch(KINDS.configMap, { resourceVersion: "0", timeoutSeconds: 60, signal: stop.signal }),
    ),
  );
  expect(opened.filter(({ ok }) => ok).length).toBe(MANY);
  expect((await client.get(KINDS.configMap, NAME)).ok).toBe(true);
  stop.abort();
});

it("deletes only the object that it knows, and writes a status only for the state that it knows", async () => {
  client = real.client("conditions");
  const labels = { app: "conditions" };
  const container = { name: "main", image: "nothing.invalid/none:1" };
  const deployment: KubeObject = {
    ...{ apiVersion: "apps/v1", kind: "Deployment" },
    metadata: { name: "conditions", namespace: "default" },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
  const made = await client.create(KINDS.deployment, deployment);
  if (!made.ok) throw new Error(made.message);
  const { uid = "", resourceVersion = "" } = made.value.metadata;
  const status = (condition: object): KubeObject => ({
    ...deployment,
    metadata: { ...deployment.metadata, ...condition },
    status: { observedGeneration: 1 },
  });
  const another = "00000000-0000-0000-0000-000000000000";
  expect(
    await client.updateStatus(KINDS.deployment, status({ uid: another, resourceVersion })),
  ).toMatchObject({
    ...{ ok: false, code: "conflict", status: 409 },
    message: expect.stringContaining("UID"),
  });
  expect(await client.updateStatus(KINDS.deployment, status({ uid, resourceVersion }))).toMatchObject({
    ok: true,
    value: { spec: { replicas: 1 }, status: { observedGeneration: 1 } },
  });
  expect(await client.updateStatus(KINDS.deployment, status({ uid, resourceVersion }))).toMatchObject({
    ...{ ok: false, code: "conflict", status: 409 },
  });
  const name = { name: "conditions", namespace: "default" };
  expect(await client.remove(KINDS.deployment, name, { uid: another })).toMatchObject({ code: "conflict" });
  expect((await client.remove(KINDS.deployment, name, { uid })).ok).toBe(true);
});

it("knows that a copy is from before its own write, until the watch has brought that", async () => {
  client = real.client("gate");
  const silent = { log: silentLog, metrics: silentMetrics };
  const informer = createInformer({ client, ref: KINDS.configMap, namespace: "default", ...silent });
  const applier = createApplier({
    ...{ client, refOf: () => KINDS.configMap, storeOf: () => informer.store, metrics: silentMetrics },
    maxLagMs: 600_000,
  });
  const first = new AbortController();
  const following = informer.run(first.signal);
  await informer.synced(first.signal);
  first.abort();
  await following;
  const object = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "gate", namespace: "default" },
    data: {},
  };
  expect((await applier.apply(object, { owner: "cell" })).ok).toBe(true);
  expect([applier.caughtUp("cell"), applier.caughtUp("another")]).toEqual([false, true]);
  const second = new AbortController();
  const again = informer.run(second.signal);
  await until("the copy shows the write", () => applier.caughtUp("cell"), 60_000);
  expect(informer.store.get("default/gate")?.data).toBeUndefined();
  second.abort();
  await again;
});

it("tells what happened once and counts what happens again", async () => {
  client = real.client("events");
  const found = await client.get(KINDS.configMap, NAME);
  if (!found.ok) throw new Error(found.message);
  const recorder = createEventRecorder({ client, controller: "tests", instance: "tests-1", log: silentLog });
  const event = {
    regarding: found.value,
    type: "Normal",
    reason: "Read",
    action: "Read",
    note: "It was read.",
  } as const;
  recorder.record(event);
  recorder.record(event);
  recorder.record({ ...event, type: "Warning", reason: "Lost", note: "It was lost." });
  await recorder.flush();
  const options = { namespace: "default", fieldSelector: "reportingController=tests" };
  const listed = await client.list<KubeObject>(KINDS.event, options);
  const told = (listed.ok ? listed.value.items : []).map(({ reason, series }) => [
    reason,
    (series as { count?: number } | undefined)?.count ?? 1,
  ]);
  expect(told.sort()).toEqual([
    ["Lost", 1],
    ["Read", 2],
  ]);
});
