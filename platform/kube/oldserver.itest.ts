import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "./client.ts";
import { KINDS } from "./kinds.ts";
import type { KubeObject } from "./objects.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import { type Followed, startFollowed } from "./testing/followed.ts";
import { type RealServer, startRealServer } from "./testing/realserver.ts";
import { until } from "./testing/until.ts";

const DEADLINE_MS = 60_000;
/** Lists are not streamed, as before Kubernetes 1.32, and ConfigMaps come from the database instead of a cache. */
const FLAGS = ["--feature-gates=WatchList=false", "--watch-cache-sizes=configmaps#0"];

let real: RealServer;
let direct: KubeClient;
let line: Followed;
let label: string;
let counter = 0;

beforeAll(async () => {
  real = await startRealServer({ flags: FLAGS });
  direct = real.client("direct");
});
beforeEach(async () => {
  label = `old-${++counter}`;
  line = await startFollowed(real, label);
});
afterEach(() => line.close());
afterAll(() => real?.close());

async function put(name: string, value = "1"): Promise<void> {
  const metadata = { name: `${label}-${name}`, namespace: "default", labels: { test: label } };
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { value } };
  const result = await direct.apply(KINDS.configMap, object);
  if (!result.ok) throw new Error(result.message);
}
const shown = () =>
  line.informer.store
    .list()
    .map(
      ({ metadata, data }) => `${metadata.name.slice(label.length + 1)}=${(data as { value: string }).value}`,
    )
    .sort()
    .join(" ");

it("is asked for pages when it streams no lists, and its watch begins where the pages were", async () => {
  const names = Array.from({ length: 12 }, (_, index) => `w${String(index).padStart(2, "0")}`);
  for (const name of names) await put(name);
  await line.follow({ pageSize: 5 });
  expect(shown()).toBe(names.map((name) => `${name}=1`).join(" "));
  await put("w05", "2");
  await until("the change is shown", () => shown().includes("w05=2"), DEADLINE_MS);
  await line.end();
  const ended = () => real.asked(label).filter(({ stage }) => stage === "ResponseComplete");
  const asked = () =>
    ended().map(({ verb, requestURI, responseStatus }) => {
      const query = new URL(requestURI, "https://server").searchParams;
      const what = query.has("sendInitialEvents") ? "stream" : query.has("continue") ? "next page" : verb;
      return `${what} ${responseStatus?.code}`;
    });
  const expected = ["stream 422", "list 200", "next page 200", "next page 200", "watch 200"];
  await until("the watch is in the audit log", () => asked().length >= expected.length, DEADLINE_MS);
  expect(asked()).toEqual(expected);
});

it("answers 410 for a version that its database has compacted away, and is listed again", async () => {
  await line.follow({ pageSize: 5 });
  await put("changed");
  await put("removed");
  await until("both are shown", () => line.informer.store.size === 2, DEADLINE_MS);
  line.proxy.cut();
  await put("changed", "2");
  await put("added");
  await direct.remove(KINDS.configMap, { name: `${label}-removed`, namespace: "default" });
  await real.compact();
  expect(shown()).toBe("changed=1 removed=1");
  line.proxy.restore();
  await until("the copy is right again", () => shown() === "added=1 changed=2", DEADLINE_MS);
  const count = (name: string, ...labels: string[]) => line.metrics.count(name, "configmaps", ...labels);
  expect(count("reflector_watch_restarts_total", "expired")).toBe(1);
  expect(count("reflector_relists_total")).toBe(2);
  await put("changed", "3");
  await until("the new watch carries changes", () => shown() === "added=1 changed=3", DEADLINE_MS);
});

it("says so when the pages of a list expire half-way, and gives the rest in one piece", async () => {
  for (let index = 0; index < 6; index++) await put(`w${index}`);
  const options = { labelSelector: `test=${label}`, limit: 4, namespace: "default" };
  const first = await direct.list(KINDS.configMap, options);
  const { continueToken = "" } = first.ok ? first.value : {};
  expect(continueToken).not.toBe("");
  await put("w0", "2");
  await real.compact();
  const second = await direct.list(KINDS.configMap, { ...options, continueToken });
  expect(second).toMatchObject({ ok: false, code: "gone", status: 410 });
  let pages = 0;
  const between = createKubeClient(
    {
      ...real.config,
      // Asked before each request: the database forgets the version of the first page before the second is read.
      async credentials(asked) {
        if (++pages === 2) {
          await put("w0", "3");
          await real.compact();
        }
        return real.config.credentials(asked);
      },
    },
    { log: silentLog, metrics: silentMetrics, userAgent: label, fieldManager: label },
  );
  const all = await between.listAll<KubeObject>(KINDS.configMap, options);
  await between.close();
  expect(all.ok && all.value.items.length).toBe(6);
  expect(all.ok && all.value.items[0]?.data).toEqual({ value: "3" });
  expect(pages).toBe(3);
});
