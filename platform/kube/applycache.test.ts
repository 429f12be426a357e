import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Applier, createApplier } from "./applycache.ts";
import { createKubeClient, type KubeClient } from "./client.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { createStore, type WritableStore } from "./store.ts";
import { type FakeApiServer, startFakeApiServer } from "./testing/fakeserver.ts";
import { WIDGET, type Widget, widget } from "./testing/objects.ts";
import { createVirtualTime, type VirtualTime } from "./testing/virtualtime.ts";

const COLLECTION = "widgets.tests.fulfillment.io";
const KEY = "shop/a";
const OWNER = { owner: "cell" };

let server: FakeApiServer;
let client: KubeClient;
let store: WritableStore<Widget>;
let time: VirtualTime;
let applier: Applier;

beforeEach(async () => {
  server = await startFakeApiServer();
  const silent = { log: silentLog, metrics: silentMetrics };
  client = createKubeClient(server.config, { ...silent, userAgent: "tests", fieldManager: "us" });
  time = createVirtualTime();
  store = createStore<Widget>();
  store.replace([], "1");
  applier = make();
});
afterEach(async () => {
  await client.close();
  await server.close();
});

const make = () =>
  createApplier({
    client,
    refOf: () => WIDGET,
    storeOf: () => store,
    metrics: silentMetrics,
    hashAnnotation: "tests/hash",
    time,
  });
/** Brings the store up to date, as a watch does a moment later. */
const show = () => {
  const live = server.storage.get(COLLECTION, KEY) as Widget | undefined;
  const known = store.get(KEY);
  if (live !== undefined) store.put(live);
  else if (known !== undefined)
    store.remove({
      ...known,
      metadata: { ...known.metadata, resourceVersion: String(server.storage.version) },
    });
};
const writes = () => server.requests.filter(({ verb }) => verb !== "get" && verb !== "list").length;
const apply = async (spec: Widget["spec"]) => {
  const result = await applier.apply(widget("a", spec), OWNER);
  if (!result.ok) throw new Error(result.message);
  return result.value;
};
const live = () => server.storage.get(COLLECTION, KEY) as Widget;
/** Another writer changes the object. */
const meddle = (patch: Record<string, unknown>, part: "main" | "status" = "main") =>
  void server.storage.merge(COLLECTION, KEY, patch, part);

describe("apply", () => {
  it("writes once, and nothing while nothing changes", async () => {
    expect(await apply({ size: 1 })).toMatchObject({ kind: "applied", changed: true });
    show();
    for (let pass = 0; pass < 5; pass++)
      expect(await apply({ size: 1 })).toMatchObject({ kind: "unchanged" });
    expect(writes()).toBe(1);
  });
  it("takes a field back that somebody changed, and drops one that is no longer wanted", async () => {
    await apply({ size: 1, color: "red" });
    show();
    meddle({ spec: { size: 9 } });
    show();
    expect(await apply({ size: 1, color: "red" })).toMatchObject({ kind: "applied", changed: true });
    expect(live().spec).toEqual({ size: 1, color: "red" });
    show();
    await apply({ size: 1 });
    expect(live().spec).toEqual({ size: 1 });
  });
  it("does not mind a status or a label of somebody else", async () => {
    await apply({ size: 1 });
    show();
    meddle({ status: { ready: true } }, "status");
    meddle({ metadata: { labels: { theirs: "yes" } } });
    show();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "unchanged" });
    expect(writes()).toBe(1);
  });
  it("knows after a restart, without writing, that all is as desired", async () => {
    await apply({ size: 1 });
    show();
    applier = make();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "unchanged" });
    meddle({ spec: { size: 2 } });
    show();
    applier = make();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "applied", changed: true });
  });
  it("notices after a restart that fewer fields are wanted than were applied", async () => {
    await apply({ size: 1, color: "red" });
    show();
    applier = make();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "applied", changed: true });
    expect(live().spec).toEqual({ size: 1 });
  });
  it("is not taken in by a store from before its own last write", async () => {
    await apply({ size: 1 });
    show();
    await apply({ size: 2 });
    // The store still shows size 1, which is what is wanted again.
    expect(await apply({ size: 1 })).toMatchObject({ kind: "applied", changed: true });
    expect(live().spec).toEqual({ size: 1 });
    const before = writes();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "unchanged" });
    expect(writes()).toBe(before);
  });
  it("believes the store again when the server's data was restored to an older state", async () => {
    await apply({ size: 1 });
    show();
    await apply({ size: 2 });
    // The store stays at the older version for good.
    await time.advance(60_000);
    expect(await apply({ size: 2 })).toMatchObject({ kind: "applied" });
  });
  it("makes an object again that somebody deleted", async () => {
    await apply({ size: 1 });
    show();
    server.storage.remove(COLLECTION, KEY, undefined);
    show();
    expect(await apply({ size: 1 })).toMatchObject({ kind: "applied", changed: true });
    expect(live().spec).toEqual({ size: 1 });
  });
});

describe("writeStatus", () => {
  const writeStatus = (ready: boolean) => applier.writeStatus({ ...live(), status: { ready } }, OWNER);
  it("writes once for each change, also while the store lags", async () => {
    await apply({ size: 1 });
    show();
    const before = writes();
    await writeStatus(true);
    await writeStatus(true);
    show();
    await writeStatus(true);
    expect(writes() - before).toBe(1);
    await writeStatus(false);
    await writeStatus(true);
    expect(writes() - before).toBe(3);
    expect(live().status).toEqual({ ready: true });
  });
  it("writes again what somebody changed", async () => {
    await apply({ size: 1 });
    await writeStatus(true);
    show();
    meddle({ status: { ready: false } }, "status");
    show();
    await writeStatus(true);
    expect(live().status).toEqual({ ready: true });
  });
});

describe("an owner", () => {
  it("has caught up when the store shows its writes and deletions", async () => {
    expect(applier.caughtUp("cell")).toBe(true);
    await apply({ size: 1 });
    expect(applier.caughtUp("cell")).toBe(false);
    expect(applier.caughtUp("another")).toBe(true);
    show();
    expect(applier.caughtUp("cell")).toBe(true);
    await applier.remove(live(), OWNER);
    expect(applier.caughtUp("cell")).toBe(false);
    show();
    expect(applier.caughtUp("cell")).toBe(true);
  });
  it("need not wait for an object that is leaving slowly", async () => {
    await client.create(WIDGET, {
      ...widget("a"),
      metadata: { ...widget("a").metadata, finalizers: ["tests/hold"] },
    });
    show();
    await applier.remove(live(), OWNER);
    expect(applier.caughtUp("cell")).toBe(false);
    show();
    expect(store.get(KEY)).toBeDefined();
    expect(applier.caughtUp("cell")).toBe(true);
  });
  it("need not wait for an object that somebody deleted right after the write", async () => {
    await apply({ size: 1 });
    show();
    await apply({ size: 2 });
    await client.remove(WIDGET, { name: "a", namespace: "shop" });
    show();
    expect(store.get(KEY)).toBeUndefined();
    expect(applier.caughtUp("cell")).toBe(true);
  });
  it("is let go after five seconds: better a pass too many than none", async () => {
    await apply({ size: 1 });
    await time.advance(4_999);
    expect(applier.caughtUp("cell")).toBe(false);
    await time.advance(2);
    expect(applier.caughtUp("cell")).toBe(true);
  });
});

it("counts an object that is already gone as removed, and never removes a namesake", async () => {
  await apply({ size: 1 });
  const gone = live();
  server.storage.remove(COLLECTION, KEY, undefined);
  expect(await applier.remove(gone, OWNER)).toEqual({ ok: true, value: undefined });
  await client.create(WIDGET, widget("a"));
  expect(await applier.remove(gone, OWNER)).toMatchObject({ ok: false, code: "conflict" });
});
