import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "./client.ts";
import { silentLog, silentMetrics } from "./ports.ts";
import {
  type FakeApiServer,
  type FakeRequest,
  sendStatus,
  startFakeApiServer,
} from "./testing/fakeserver.ts";
import { WIDGET, widget } from "./testing/objects.ts";

let server: FakeApiServer;
let client: KubeClient;
beforeEach(async () => {
  server = await startFakeApiServer();
  client = createKubeClient(server.config, {
    log: silentLog,
    metrics: silentMetrics,
    userAgent: "tests",
    fieldManager: "tests",
    random: () => 0,
  });
});
afterEach(async () => {
  await client.close();
  await server.close();
});
const NAME = { namespace: "shop", name: "a" };

describe("an answer that is no success", () => {
  it.each([
    [400, "BadRequest", "invalid"],
    [403, "Forbidden", "forbidden"],
    [404, "NotFound", "notFound"],
    [409, "Conflict", "conflict"],
    [409, "AlreadyExists", "alreadyExists"],
    [410, "Expired", "gone"],
    [422, "Invalid", "invalid"],
    [429, "TooManyRequests", "tooManyRequests"],
    [500, "InternalError", "unavailable"],
    [503, "ServiceUnavailable", "unavailable"],
    [504, "Timeout", "timeout"],
  ])("%i %s is %s, with the server's sentence", async (status, reason, code) => {
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, status, { reason, message: "because" }),
    );
    const result = await client.get(WIDGET, NAME, { attempts: 1 });
    expect(result).toEqual({ ok: false, code, status, message: "because" });
  });
  it("without JSON still gives a sentence", async () => {
    server.fail(
      () => true,
      (_request, response) => void response.writeHead(502).end("<html>bad gateway</html>"),
    );
    expect(await client.get(WIDGET, NAME, { attempts: 1 })).toMatchObject({
      code: "unavailable",
      message: "<html>bad gateway</html>",
    });
  });
});

describe("a call that fails for the moment", () => {
  it("is repeated when it reads, after the pause that the server asked for", async () => {
    server.storage.create("widgets.tests.fulfillment.io", widget("a"));
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 429, { retryAfterSeconds: 1 }),
    );
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 503),
    );
    server.fail(
      () => true,
      (_request, response) => void response.destroy(),
    );
    const startedMs = performance.now();
    expect(await client.get(WIDGET, NAME)).toMatchObject({ ok: true, value: { metadata: { name: "a" } } });
    expect(server.requests.length).toBe(4);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_000);
  });
  it("is given up after its attempts", async () => {
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 503),
      100,
    );
    expect(await client.get(WIDGET, NAME, { attempts: 3 })).toMatchObject({
      code: "unavailable",
      status: 503,
    });
    expect(server.requests.length).toBe(3);
  });
  it("is sent once when it writes: nobody knows what the server did", async () => {
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 503),
    );
    server.fail(
      () => true,
      (_request, response) => void response.destroy(),
    );
    expect(await client.create(WIDGET, widget("a"))).toMatchObject({ code: "unavailable", status: 503 });
    expect(await client.apply(WIDGET, widget("a"))).toMatchObject({ code: "unavailable" });
    expect(server.requests.length).toBe(2);
  });
  it("is repeated also when it writes, if the server refused it unseen", async () => {
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 429, { retryAfterSeconds: 0 }),
    );
    expect((await client.create(WIDGET, widget("a"))).ok).toBe(true);
  });
});

describe("a call that takes too long", () => {
  it("ends at its time limit", async () => {
    server.fail(
      () => true,
      () => {},
    );
    expect(await client.get(WIDGET, NAME, { timeoutMs: 50 })).toMatchObject({ code: "timeout" });
  });
  it("ends when its signal says so", async () => {
    server.fail(
      () => true,
      () => {},
    );
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 30);
    expect(await client.get(WIDGET, NAME, { signal: stop.signal })).toMatchObject({ code: "aborted" });
  });
});

describe("a guarded client", () => {
  it("writes nothing without the right to, and reads all the same", async () => {
    let allowed = true;
    const guarded = client.guardedBy({ valid: () => allowed });
    expect((await guarded.apply(WIDGET, widget("a"))).ok).toBe(true);
    allowed = false;
    const sent = server.requests.length;
    const writes = [
      guarded.create(WIDGET, widget("b")),
      guarded.apply(WIDGET, widget("a", { size: 2 })),
      guarded.updateStatus(WIDGET, { ...widget("a"), status: { ready: true } }),
      guarded.update(WIDGET, widget("a")),
      guarded.patch(WIDGET, NAME, { spec: { size: 3 } }),
      guarded.remove(WIDGET, NAME),
    ];
    for (const result of await Promise.all(writes)) expect(result).toMatchObject({ code: "notLeader" });
    expect(server.requests.length).toBe(sent);
    expect((await guarded.get(WIDGET, NAME)).ok).toBe(true);
  });
  it("asks for the right last of all, and again before it repeats", async () => {
    const sent = server.requests.length;
    const order: string[] = [];
    const lost = client.guardedBy({
      valid: () => {
        order.push("asked");
        return false;
      },
    });
    expect(await lost.apply(WIDGET, widget("a"))).toMatchObject({ code: "notLeader" });
    expect([order, server.requests.length]).toEqual([["asked"], sent]);
    server.fail(
      ({ verb }) => verb === "patch",
      (_request, response) => sendStatus(response, 429, { retryAfterSeconds: 0 }),
    );
    let asked = 0;
    const losing = client.guardedBy({ valid: () => ++asked === 1 });
    expect(await losing.apply(WIDGET, widget("a"))).toMatchObject({ code: "notLeader" });
    expect([asked, server.requests.length]).toEqual([2, sent + 1]);
  });
  it("breaks off a write when the right is lost", async () => {
    const right = new AbortController();
    server.fail(
      ({ verb }) => verb === "patch",
      () => right.abort(),
    );
    const guarded = client.guardedBy({ valid: () => true, signal: right.signal });
    expect(await guarded.apply(WIDGET, widget("a"))).toMatchObject({ code: "aborted" });
  });
});

describe("credentials", () => {
  it("are read again after a 401, once", async () => {
    const asked: boolean[] = [];
    const rotated = createKubeClient(
      {
        ...server.config,
        credentials: async (options) => {
          asked.push(options?.fresh === true);
          return { headers: { authorization: options?.fresh ? "Bearer new" : "Bearer old" } };
        },
      },
      { log: silentLog, metrics: silentMetrics, userAgent: "tests", fieldManager: "tests" },
    );
    server.storage.create("widgets.tests.fulfillment.io", widget("a"));
    const refused = ({ headers }: FakeRequest) => headers.authorization === "Bearer old";
    server.fail(refused, (_request, response) => sendStatus(response, 401), 100);
    expect((await rotated.get(WIDGET, NAME)).ok).toBe(true);
    expect(asked).toEqual([false, true]);
    server.fail(
      () => true,
      (_request, response) => sendStatus(response, 401),
      100,
    );
    expect(await rotated.get(WIDGET, NAME)).toMatchObject({ code: "unauthorized" });
    await rotated.close();
  });
});

describe("lists", () => {
  const fill = (count: number) => {
    for (let index = 0; index < count; index++)
      server.storage.create("widgets.tests.fulfillment.io", widget(`w-${String(index).padStart(3, "0")}`));
  };
  it("come page by page and whole, with kind and apiVersion on every item", async () => {
    fill(25);
    const listed = await client.listAll(WIDGET, { limit: 10 });
    expect(listed.ok && listed.value.items.length).toBe(25);
    expect(
      listed.ok &&
        listed.value.items.every(
          ({ kind, apiVersion }) => `${apiVersion} ${kind}` === "tests.fulfillment.io/v1 Widget",
        ),
    ).toBe(true);
    expect(server.requests.length).toBe(3);
  });
  it("whose pages expire on the way are asked for in one piece", async () => {
    fill(25);
    server.fail(
      ({ query }) => query.has("continue"),
      (_request, response) => sendStatus(response, 410, { reason: "Expired" }),
    );
    const listed = await client.listAll(WIDGET, { limit: 10 });
    expect(listed.ok && listed.value.items.length).toBe(25);
  });
  it("that are longer than the bound are refused with a way out", async () => {
    fill(25);
    expect(await client.listAll(WIDGET, { limit: 10, maxItems: 15 })).toMatchObject({
      code: "invalid",
      message: "there are more than 15 widgets: narrow the selector or raise maxItems",
    });
  });
});

describe("conditions of writes", () => {
  it("a deletion by uid never meets a namesake", async () => {
    const made = await client.create(WIDGET, widget("a"));
    const uid = made.ok ? made.value.metadata.uid : undefined;
    expect(await client.remove(WIDGET, NAME, { uid: "another" })).toMatchObject({ code: "conflict" });
    expect((await client.remove(WIDGET, NAME, uid === undefined ? {} : { uid })).ok).toBe(true);
    expect(await client.get(WIDGET, NAME)).toMatchObject({ code: "notFound" });
  });
  it("a status for an earlier state or incarnation is refused", async () => {
    const made = await client.create(WIDGET, widget("a"));
    if (!made.ok) throw new Error(made.message);
    const { uid, resourceVersion } = made.value.metadata;
    const status = (metadata: object) => ({
      ...widget("a"),
      metadata: { ...NAME, ...metadata },
      status: { ready: true },
    });
    const moved = await client.apply(WIDGET, widget("a", { size: 2 }));
    if (!moved.ok) throw new Error(moved.message);
    const now = moved.value.metadata.resourceVersion;
    const written = (metadata: object) => client.updateStatus(WIDGET, status(metadata));
    expect(await written({ uid, resourceVersion })).toMatchObject({ code: "conflict" });
    expect(await written({ uid: "another", resourceVersion: now })).toMatchObject({ code: "conflict" });
    expect(await written({ uid })).toMatchObject({ code: "invalid" });
    expect((await written({ uid, resourceVersion: now })).ok).toBe(true);
  });
});

it("uses few connections for many calls", async () => {
  const ports = new Set<number | undefined>();
  server.fail(
    () => true,
    (_request, response, proceed) => {
      ports.add(response.socket?.remotePort);
      return proceed();
    },
    200,
  );
  for (let turn = 0; turn < 200; turn++) await client.get(WIDGET, NAME);
  expect(ports.size).toBeLessThanOrEqual(2);
});
