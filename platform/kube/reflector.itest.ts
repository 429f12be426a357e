import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { KubeClient } from "./client.ts";
import { KINDS } from "./kinds.ts";
import { compareVersions, type KubeObject } from "./objects.ts";
import { type Followed, startFollowed } from "./testing/followed.ts";
import { type RealServer, startRealServer } from "./testing/realserver.ts";
import { until } from "./testing/until.ts";

const DEADLINE_MS = 60_000;

let real: RealServer;
let direct: KubeClient;
let line: Followed;
let label: string;
let counter = 0;

beforeAll(async () => {
  real = await startRealServer();
  direct = real.client("direct");
});
beforeEach(async () => {
  label = `test-${++counter}`;
  line = await startFollowed(real, label);
});
afterEach(() => line.close());
afterAll(() => real?.close());

const relists = () => line.metrics.count("reflector_relists_total", "configmaps");
const restarts = (reason: string) =>
  line.metrics.count("reflector_watch_restarts_total", "configmaps", reason);

async function put(name: string, value: string, test = label): Promise<string> {
  const metadata = { name: `${label}-${name}`, namespace: "default", labels: { test } };
  const result = await direct.apply<KubeObject>(KINDS.configMap, {
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata },
    data: { value },
  });
  if (!result.ok) throw new Error(result.message);
  return result.value.metadata.resourceVersion ?? "";
}
async function remove(name: string): Promise<void> {
  const result = await direct.remove(KINDS.configMap, { name: `${label}-${name}`, namespace: "default" });
  if (!result.ok) throw new Error(result.message);
}
const copy = () =>
  Object.fromEntries(
    line.informer.store
      .list()
      .map(({ metadata, data }) => [
        metadata.name.slice(label.length + 1),
        (data as { value: string }).value,
      ]),
  );
const shows = (expected: Record<string, string>) =>
  until(
    `the copy shows ${JSON.stringify(expected)}`,
    () => JSON.stringify(Object.entries(copy()).sort()) === JSON.stringify(Object.entries(expected).sort()),
    DEADLINE_MS,
  );
/** What this test's reflector asked of the API server; a watch is there when it has ended. */
const requests = (verb: string) =>
  real
    .asked(label)
    .filter((entry) => entry.verb === verb && entry.stage === "ResponseComplete")
    .map(({ requestURI }) => new URL(requestURI, "https://server").searchParams);

/** Three changes of which each is of another kind. */
async function changeAll(): Promise<void> {
  await put("changed", "2");
  await put("added", "1");
  await remove("removed");
}
const BEFORE = { changed: "1", removed: "1" };
const AFTER = { added: "1", changed: "2" };
/** After `follow`, so that it is the open watch that brings them. */
async function putBefore(): Promise<void> {
  for (const [name, value] of Object.entries(BEFORE)) await put(name, value);
}

it("resumes after a cut line where it was, without another list", async () => {
  await line.follow();
  await putBefore();
  await shows(BEFORE);
  line.proxy.cut();
  await changeAll();
  expect(copy()).toEqual(BEFORE);
  line.proxy.restore();
  await shows(AFTER);
  expect(relists()).toBe(1);
  expect(restarts("failed")).toBeGreaterThan(0);
});

it("notices a line that carries nothing any more, and takes a new one", async () => {
  await line.follow({ silenceMs: 1_500 });
  await putBefore();
  await shows(BEFORE);
  line.proxy.hold();
  await changeAll();
  expect(copy()).toEqual(BEFORE);
  await shows(AFTER);
  expect(relists()).toBe(1);
  expect(restarts("silent")).toBeGreaterThan(0);
});

it("survives a restart of the API server", async () => {
  await line.follow();
  await putBefore();
  await shows(BEFORE);
  await real.server.restart();
  await changeAll();
  await shows(AFTER);
  await put("changed", "3");
  await shows({ ...AFTER, changed: "3" });
  // At most one more list: the server may no longer know the version that we had.
  expect(relists()).toBeLessThanOrEqual(2);
});

it("lists again when its version has expired, and sees what was removed meanwhile", async () => {
  await line.follow();
  await putBefore();
  await shows(BEFORE);
  line.proxy.cut();
  await changeAll();
  // A server that has just started remembers no change from before its start: it answers 410.
  await real.server.restart();
  line.proxy.restore();
  await shows(AFTER);
  expect([restarts("expired"), relists()]).toEqual([1, 2]);
  await put("changed", "3");
  await shows({ ...AFTER, changed: "3" });
  expect([restarts("expired"), relists()]).toEqual([1, 2]);
});

it("has its first list streamed over the watch, from the server's cache and not from its database", async () => {
  const readFromDatabase = async () => {
    const lines = (await real.metrics()).split("\n");
    const name = "apiserver_storage_list_fetched_objects_total";
    const line = lines.find((each) => each.startsWith(name) && each.includes('resource="configmaps"'));
    return Number(line?.split(" ")[1] ?? 0);
  };
  await putBefore();
  for (let index = 0; index < 10; index++) await put(`more-${index}`, "1", "another-test");
  const before = await readFromDatabase();
  await line.follow();
  await shows(BEFORE);
  // The server asks its database for one key, to learn which version is the newest.
  expect((await readFromDatabase()) - before).toBeLessThanOrEqual(1);
  await changeAll();
  await shows(AFTER);
  await line.end();
  await until("the watch is in the audit log", () => requests("watch").length > 0);
  expect(requests("list")).toEqual([]);
  expect(requests("watch").map((query) => query.get("sendInitialEvents"))).toEqual(["true"]);
});

it("is carried forward by bookmarks while nothing that it selects changes", async () => {
  // The server sends one bookmark a minute, and one two seconds before a watch's time is over.
  await line.follow({ watchMinSeconds: 5, watchMaxSeconds: 5 });
  const from = line.informer.store.resourceVersion();
  const elsewhere = await put("elsewhere", "1", "another-test");
  const isPast = (version = "") => (compareVersions(version, elsewhere) ?? -1) >= 0;
  expect(isPast(from)).toBe(false);
  await until("a bookmark has come", () => isPast(line.informer.store.resourceVersion()), DEADLINE_MS);
  expect(line.informer.store.size).toBe(0);
  const resumedFrom = () => requests("watch").map((query) => query.get("resourceVersion") ?? "");
  await until("a watch that began there has ended", () => resumedFrom().some(isPast), DEADLINE_MS);
  expect([restarts("eof") > 0, relists()]).toEqual([true, 1]);
});
