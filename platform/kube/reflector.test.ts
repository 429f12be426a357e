import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "./client.ts";
import { createInformer, type Informer } from "./informer.ts";
import { type KubeTime, silentLog, silentMetrics } from "./ports.ts";
import type { ReflectorLimits } from "./reflector.ts";
import {
  type FakeApiServer,
  type FakeRequest,
  sendStatus,
  startFakeApiServer,
} from "./testing/fakeserver.ts";
import { WIDGET, type Widget, widget } from "./testing/objects.ts";
import { until } from "./testing/until.ts";
import { createVirtualTime } from "./testing/virtualtime.ts";

const COLLECTION = "widgets.tests.fulfillment.io";
/** Pauses short enough for a test; the rules are the same. */
const QUICK = { backoffMinMs: 10, backoffMaxMs: 100 };

let server: FakeApiServer;
let client: KubeClient;
let stop: AbortController;
let running: Promise<void>;
let informer: Informer<Widget>;
let changes: string[];

beforeEach(async () => {
  server = await startFakeApiServer();
  stop = new AbortController();
  running = Promise.resolve();
  changes = [];
  client = createKubeClient(server.config, {
    log: silentLog,
    metrics: silentMetrics,
    userAgent: "tests",
    fieldManager: "tests",
  });
});
afterEach(async () => {
  stop.abort();
  await running;
  await client.close();
  await server.close();
});

function follow(limits: Partial<ReflectorLimits> = {}, labelSelector?: string, time?: KubeTime): void {
  informer = createInformer<Widget>({
    client,
    ref: WIDGET,
    log: silentLog,
    metrics: silentMetrics,
    limits: { ...QUICK, ...limits },
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(time === undefined ? {} : { time }),
    indexers: { color: (object) => (object.spec?.color === undefined ? [] : [object.spec.color]) },
  });
  informer.store.onChange(({ type, key }) => changes.push(`${type} ${key}`));
  running = informer.run(stop.signal);
}
const put = (name: string, spec: Widget["spec"] = {}) =>
  void server.storage.apply(COLLECTION, widget(name, spec), "tests");
const drop = (name: string) => void server.storage.remove(COLLECTION, `shop/${name}`, undefined);
/** A list is asked for by its first page, or by a watch that begins with one; a refused one does not count. */
const isList = ({ verb, query }: FakeRequest) =>
  query.has("sendInitialEvents") ? server.streamsLists : verb === "list" && !query.has("continue");
const isResumed = ({ verb, query }: FakeRequest) => verb === "watch" && !query.has("sendInitialEvents");
const count = (what: "list" | "watch") =>
  server.requests.filter((request) =>
    what === "list" ? isList(request) : request.verb === "watch" && (isList(request) || isResumed(request)),
  ).length;
/** The store shows exactly what the server has. */
const equal = () =>
  until("the store equals the server", () => {
    const of = (objects: readonly Widget[]) =>
      JSON.stringify(
        objects.map(({ metadata, spec }) => [metadata.name, metadata.resourceVersion, spec]).sort(),
      );
    return of(informer.store.list()) === of(server.storage.list(COLLECTION) as Widget[]);
  });
const watching = () => until("a watch is open", () => server.openWatches === 1);

describe.each(["streamed", "paged"] as const)("with lists that are %s,", (mode) => {
  beforeEach(() => {
    server.streamsLists = mode === "streamed";
  });
  describe("a store that follows", () => {
    it("shows what is there and what comes, without the history of fields", async () => {
      put("a", { color: "red" });
      follow();
      expect(await informer.synced(stop.signal)).toBe(true);
      expect(informer.store.get("shop/a")?.metadata.managedFields).toBeUndefined();
      await watching();
      put("b", { color: "red" });
      put("a", { color: "blue" });
      drop("b");
      await equal();
      expect(changes).toEqual(["added shop/a", "added shop/b", "modified shop/a", "deleted shop/b"]);
      expect(informer.store.byIndex("color", "blue").length).toBe(1);
      expect([count("list"), count("watch")]).toEqual([1, 1]);
    });
    it("asks for one list, bookmarks, a time limit and its selector", async () => {
      for (let index = 0; index < 12; index++)
        server.storage.create(COLLECTION, widget(`w${index}`, {}, { team: index % 2 ? "x" : "y" }));
      follow({ pageSize: 5, watchMinSeconds: 300, watchMaxSeconds: 600 }, "team=x");
      await informer.synced(stop.signal);
      await watching();
      expect(informer.store.size).toBe(6);
      expect(server.requests.filter(({ verb }) => verb === "list").length).toBe(mode === "paged" ? 2 : 0);
      const query = server.requests.at(-1)?.query;
      expect(query?.get("allowWatchBookmarks")).toBe("true");
      expect(query?.get("labelSelector")).toBe("team=x");
      expect(Number(query?.get("timeoutSeconds"))).toBeGreaterThanOrEqual(300);
      expect(Number(query?.get("timeoutSeconds"))).toBeLessThanOrEqual(600);
    });
  });

  describe("a watch that ends", () => {
    it.each(["eof", "cut"] as const)(
      "by %s is resumed where it was, without a list, and nothing is lost",
      async (how) => {
        put("a");
        follow();
        await watching();
        put("b");
        await equal();
        server.endWatches(how);
        put("c");
        drop("a");
        await equal();
        expect(count("list")).toBe(1);
        expect(server.requests.at(-1)?.query.get("resourceVersion")).not.toBe(
          server.requests.find(({ verb }) => verb === "watch")?.query.get("resourceVersion"),
        );
      },
    );
    it("at once, again and again, does not make us spin", async () => {
      follow({ backoffMinMs: 200, backoffMaxMs: 400 });
      await watching();
      server.fail(isResumed, (_request, response) => void response.writeHead(200).end(), 1_000);
      server.endWatches("eof");
      await until("some watches were tried", () => count("watch") >= 3);
      const before = count("watch");
      const startedMs = performance.now();
      await until("more watches were tried", () => count("watch") >= before + 2);
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(200);
      expect(count("list")).toBe(1);
    });
    it.each([
      ["after its head", true],
      ["before its head", false],
    ])("because nothing is heard %s is cut and resumed", async (_name, hasHead) => {
      const time = createVirtualTime();
      follow({}, undefined, time);
      await watching();
      await informer.synced(stop.signal);
      server.fail(isResumed, (_request, response) => {
        if (hasHead) response.writeHead(200).flushHeaders();
      });
      server.endWatches("eof");
      await until("a watch that says nothing", () => count("watch") === 2);
      await time.advance(149_000);
      expect(count("watch")).toBe(2);
      await time.advance(1_000);
      put("a");
      await equal();
      expect([count("list"), count("watch")]).toEqual([1, 3]);
    });
  });

  describe("a version that is too old", () => {
    it.each([
      ["as an answer", () => {}],
      [
        "as a frame",
        () =>
          server.fail(isResumed, (_request, response) => {
            const status = {
              kind: "Status",
              code: 410,
              reason: "Expired",
              message: "too old resource version",
            };
            response.writeHead(200).end(`${JSON.stringify({ type: "ERROR", object: status })}\n`);
          }),
      ],
    ])("told %s leads to a list, and what was deleted meanwhile is told", async (_name, arrange) => {
      put("a");
      put("b");
      follow();
      await watching();
      await equal();
      changes.length = 0;
      arrange();
      // All in one turn: no watch can see these changes before the history has gone.
      server.endWatches("cut");
      drop("a");
      put("b", { size: 2 });
      put("c");
      server.storage.compact();
      await equal();
      expect(changes.sort()).toEqual(["added shop/c", "deleted shop/a", "modified shop/b"]);
      expect(count("list")).toBe(2);
      put("d");
      await equal();
    });
    it("again and again does not make us list in a circle", async () => {
      server.fail(
        isList,
        async (_request, response, proceed) => {
          await proceed();
          response.end();
        },
        1_000,
      );
      server.fail(isResumed, (_request, response) => sendStatus(response, 410, { reason: "Expired" }), 1_000);
      follow({ backoffMinMs: 100, backoffMaxMs: 200 });
      await until("a third list", () => count("list") >= 3);
      const startedMs = performance.now();
      const before = count("list");
      await until("two more lists", () => count("list") >= before + 2);
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(100);
    });
  });

  describe("a server that refuses", () => {
    it.each([401, 403, 429, 500, 503])("with %i is asked again until it answers", async (code) => {
      put("a");
      server.fail(isList, (_request, response) => sendStatus(response, code), 4);
      follow();
      await equal();
      server.fail(isResumed, (_request, response) => sendStatus(response, code), 4);
      server.endWatches("eof");
      put("b");
      await equal();
      expect(count("watch")).toBeGreaterThanOrEqual(3);
    });
    it("and says for how long is left alone for so long", async () => {
      const atMs: number[] = [];
      server.fail(isList, (_request, response) => {
        atMs.push(performance.now());
        sendStatus(response, 429, { retryAfterSeconds: 1 });
      });
      server.fail(isList, (_request, _response, proceed) => {
        atMs.push(performance.now());
        return proceed();
      });
      follow();
      await informer.synced(stop.signal);
      expect((atMs[1] ?? 0) - (atMs[0] ?? 0)).toBeGreaterThanOrEqual(1_000);
    });
    it("because the kind is gone empties the store with the next list", async () => {
      put("a");
      follow();
      await watching();
      await equal();
      server.storage.remove(COLLECTION, "shop/a", undefined);
      server.fail(isResumed, (_request, response) => sendStatus(response, 404));
      server.endWatches("cut");
      await until("another list", () => count("list") >= 2);
      await equal();
    });
  });

  describe("frames", () => {
    const frame = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;
    it("cut into single bytes, inside a character, come out whole", async () => {
      follow();
      await watching();
      put("a");
      const live = server.storage.get(COLLECTION, "shop/a") as Widget;
      const next = {
        ...live,
        metadata: { ...live.metadata, resourceVersion: "900" },
        spec: { color: "검정🖤" },
      };
      for (const byte of Buffer.from(frame("MODIFIED", next))) {
        server.writeToWatches(Buffer.from([byte]));
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await until("the frame has arrived", () => informer.store.get("shop/a")?.spec?.color === "검정🖤");
    });
    it("that come slowly, but keep coming, are no silence", async () => {
      const time = createVirtualTime();
      follow({ silenceMs: 150_000 }, undefined, time);
      await watching();
      await informer.synced(stop.signal);
      put("a");
      await equal();
      const live = server.storage.get(COLLECTION, "shop/a") as Widget;
      const next = { ...live, metadata: { ...live.metadata, resourceVersion: "900" }, spec: { size: 9 } };
      const text = frame("MODIFIED", next);
      for (const part of [text.slice(0, 20), text.slice(20, 40), text.slice(40)]) {
        await time.advance(100_000);
        server.writeToWatches(part);
        await until("the part has arrived", () => informer.ageMs() === 0);
      }
      expect(informer.store.get("shop/a")?.spec).toEqual({ size: 9 });
      expect(count("watch")).toBe(1);
      await time.advance(150_000);
      await until("a watch after the silence", () => count("watch") === 2);
    });
    it("that come twice or late change nothing", async () => {
      put("a", { size: 1 });
      follow();
      await watching();
      const old = server.storage.get(COLLECTION, "shop/a") as Widget;
      put("a", { size: 2 });
      put("b");
      drop("b");
      const last = server.storage.version;
      server.writeToWatches(frame("MODIFIED", old));
      server.writeToWatches(
        frame("ADDED", {
          ...widget("b"),
          metadata: { ...widget("b").metadata, resourceVersion: String(last - 1) },
        }),
      );
      put("c");
      await equal();
      expect(changes).toEqual([
        "added shop/a",
        "modified shop/a",
        "added shop/b",
        "deleted shop/b",
        "added shop/c",
      ]);
    });
    it("with a bookmark move the version from which a watch is resumed", async () => {
      put("a");
      follow();
      await watching();
      server.writeToWatches(frame("BOOKMARK", { ...widget("x"), metadata: { resourceVersion: "4242" } }));
      await until("the bookmark has arrived", () => informer.store.resourceVersion() === "4242");
      server.endWatches("eof");
      await until(
        "a watch from there",
        () => server.requests.at(-1)?.query.get("resourceVersion") === "4242",
      );
      expect(informer.store.keys()).toEqual(["shop/a"]);
    });
    it.each([
      ["no JSON", "{ this is not json\n"],
      ["no object", frame("ADDED", null)],
      ["an error of the server", frame("ERROR", { kind: "Status", code: 500, message: "etcd is away" })],
    ])("with %s break the watch off, and the next one heals it", async (_name, bytes) => {
      follow();
      await watching();
      server.writeToWatches(bytes);
      await until("a second watch", () => count("watch") >= 2);
      put("a");
      await equal();
      expect(count("list")).toBe(1);
    });
  });

  it("lets an error of a handler out: a bug is no lost connection", async () => {
    follow();
    await watching();
    informer.store.onChange(() => {
      throw new Error("a bug");
    });
    put("a");
    await expect(running).rejects.toThrow("a bug");
    running = Promise.resolve();
  });

  it("follows through a storm of cuts, expiries and refusals to the same end", async () => {
    follow();
    await watching();
    for (let round = 0; round < 60; round++) {
      put(`w${round % 7}`, { size: round });
      if (round % 5 === 2) drop(`w${(round + 3) % 7}`);
      if (round % 4 === 0) server.endWatches(round % 8 === 0 ? "cut" : "eof");
      if (round % 9 === 0) server.storage.compact();
      if (round % 7 === 0) server.fail(isResumed, (_request, response) => sendStatus(response, 503));
      await new Promise((resolve) => setTimeout(resolve, round % 3));
    }
    await equal();
  });
});
