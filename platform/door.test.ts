import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createDoor, type Door } from "./door.ts";
import { type Call, createServiceClient, type ServiceClient } from "./fetch.ts";
import { createHealth } from "./health.ts";
import { created, defineRoute, noContent, ok, type Route } from "./http.ts";
import { type HttpServer, startHttp } from "./http-server.ts";
import type { IdempotencyStore } from "./idempotency.ts";
import { silentLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { fail } from "./problem.ts";
import { Fenced } from "./sqlstate.ts";
import { createSigner, createVerifier, generateKey } from "./trust.ts";

const held = { release: () => {}, aborted: 0, keys: new Map<string, Promise<unknown>>() };
const common = { access: "internal", idempotency: "none" } as const;
const routes: Route[] = [
  defineRoute({
    ...common,
    method: "POST",
    path: "/internal/things/:id",
    summary: "Takes a thing.",
    body: z.object({ count: z.int().min(1).max(9), at: z.string().optional() }),
    query: z.object({ dry: z.enum(["yes", "no"]).optional() }),
    responses: { 201: undefined },
    handler: async ({ body, rawBody, params, query, principal }) =>
      created({ body, rawBody, params, query, principal, at: new Date(0), gone: undefined }),
  }),
  defineRoute({
    method: "POST",
    path: "/internal/keyed",
    summary: "Needs a key.",
    access: "internal",
    responses: { 200: undefined },
    handler: async ({ idempotencyKey }) => ok({ idempotencyKey }, { ETag: '"1"' }),
  }),
  defineRoute({
    ...common,
    method: "DELETE",
    path: "/internal/gone",
    summary: "Goes.",
    responses: {},
    handler: async () => noContent(),
  }),
  defineRoute({
    method: "GET",
    path: "/v1/mine",
    summary: "For users.",
    access: { roles: ["customer"] },
    responses: { 200: undefined },
    handler: async () => ok({}),
  }),
  defineRoute({
    method: "GET",
    path: "/internal/fails/:how",
    summary: "Goes wrong.",
    access: "internal",
    responses: { 200: undefined },
    async handler({ params }) {
      if (params.how === "fenced") throw new Fenced(1, 2);
      if (params.how === "throws") throw new Error("a secret of the inside");
      return { ...fail("out-of-stock", "Order less.", { short: ["a"] }), headers: { "X-Proof": "p" } };
    },
  }),
  defineRoute({
    method: "GET",
    path: "/internal/slow",
    summary: "Takes its time.",
    access: "internal",
    responses: { 200: undefined },
    async handler({ signal }) {
      signal.addEventListener("abort", () => held.aborted++);
      await new Promise<void>((resolve) => {
        held.release = resolve;
      });
      return ok({});
    },
  }),
];

/** Runs each key once and remembers its answer. */
const idempotency: IdempotencyStore = {
  async run({ key, scope }, execute) {
    const name = `${scope} ${key}`;
    const known = held.keys.get(name) ?? execute();
    held.keys.set(name, known);
    return (await known) as Awaited<ReturnType<typeof execute>>;
  },
  sweep: async () => 0,
};

let server: HttpServer;
let door: Door;
let clients: Record<"wire" | "door" | "stranger" | "strangerAtDoor", ServiceClient>;
beforeAll(async () => {
  const [own, other] = [await generateKey(), await generateKey()];
  const verifier = createVerifier({ keys: { keys: [own.publicJwk] }, audience: "cell-1" });
  const log = silentLogger();
  const metrics = createMetrics({ service: "test" });
  const answering = { routes, verifier, idempotency, log, metrics };
  server = await startHttp({
    ...answering,
    ...{ port: 0, host: "127.0.0.1", health: createHealth([]), openapi: { title: "test" } },
  });
  door = createDoor(answering);
  const sign = (jwk: typeof own.privateJwk) => createSigner({ jwk, issuer: "cell", subject: "orders" });
  const [signer, foreign] = [await sign(own.privateJwk), await sign(other.privateJwk)];
  const common = {
    ...{ name: "stock", baseUrl: `http://127.0.0.1:${server.port}`, audience: "cell-1", metrics },
    timeoutMs: 2_000,
  };
  clients = {
    wire: createServiceClient({ ...common, signer }),
    door: createServiceClient({ ...common, signer, door: () => door }),
    stranger: createServiceClient({ ...common, signer: foreign }),
    strangerAtDoor: createServiceClient({ ...common, signer: foreign, door: () => door }),
  };
});
afterAll(async () => {
  for (const client of Object.values(clients)) await client.close();
  await server.close();
});

const thing = { method: "POST", path: "/internal/things/a%20b?dry=yes", body: { count: 2 } } as const;
const CALLS: readonly (readonly [string, Call<unknown>])[] = [
  ["takes what fits", thing],
  ["refuses what does not fit", { ...thing, body: { count: 10 } }],
  ["refuses a query that does not fit", { ...thing, path: "/internal/things/a?dry=maybe" }],
  ["refuses a query that is given twice", { ...thing, path: "/internal/things/a?dry=yes&dry=no" }],
  ["refuses a body that is too large", { ...thing, body: { count: 1, at: "x".repeat(300_000) } }],
  ["answers nothing with nothing", { method: "DELETE", path: "/internal/gone" }],
  ["has one answer for one key", { method: "POST", path: "/internal/keyed", idempotencyKey: "k-1" }],
  ["asks for a key", { method: "POST", path: "/internal/keyed" }],
  ["keeps siblings out of what is for users", { method: "GET", path: "/v1/mine" }],
  ["tells of an expected failure", { method: "GET", path: "/internal/fails/short" }],
  ["tells of fencing", { method: "GET", path: "/internal/fails/fenced" }],
  ["tells nothing of what went wrong inside", { method: "GET", path: "/internal/fails/throws" }],
  ["knows its paths", { method: "GET", path: "/internal/nowhere" }],
  ["knows its methods", { method: "PUT", path: "/internal/keyed" }],
  ["refuses what cannot be decoded", { ...thing, path: "/internal/things/%E0%A4%A" }],
  ["takes no call whose time is over", { ...thing, deadlineMs: 1 }],
];

/** Headers that only the wire has. */
const WIRE = [
  "connection",
  "keep-alive",
  "date",
  "content-type",
  "content-length",
  "transfer-encoding",
  "allow",
];
function withoutWire(answer: Awaited<ReturnType<ServiceClient["call"]>>): unknown {
  if (!answer.ok) return answer;
  const headers = Object.entries(answer.headers).filter(([name]) => !WIRE.includes(name));
  return { ...answer, headers: Object.fromEntries(headers) };
}

describe("the door answers as the wire does", () => {
  test.each(CALLS)("%s", async (_what, call) => {
    const [near, far] = [await clients.door.call(call), await clients.wire.call(call)];
    expect(withoutWire(near)).toEqual(withoutWire(far));
  });

  test("what goes in and out is JSON and nothing else", async () => {
    const answer = await clients.door.call<Record<string, unknown>>(thing);
    expect(answer).toMatchObject({
      ...{ ok: true, status: 201 },
      body: { body: { count: 2 }, params: { id: "a b" }, query: { dry: "yes" }, rawBody: '{"count":2}' },
    });
    expect(answer.ok && answer.body).toMatchObject({
      principal: { kind: "slice", subject: "orders" },
      at: "1970-01-01T00:00:00.000Z",
    });
    expect(answer.ok && "gone" in answer.body).toBe(false);
  });

  test("nobody passes without a token of this cell", async () => {
    for (const client of [clients.stranger, clients.strangerAtDoor])
      expect(await client.call(thing)).toMatchObject({ ok: false, code: "unauthenticated" });
  });
});

test("nobody waits longer than the deadline; the work goes on, and a closing door waits for it", async () => {
  const call = { method: "GET", path: "/internal/slow", deadlineMs: Date.now() + 150 } as const;
  expect(await clients.door.call(call)).toMatchObject({ ok: false, code: "deadline-exceeded" });
  expect(held.aborted).toBe(1);
  let closed = false;
  const closing = door.close().then(() => {
    closed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(closed).toBe(false);
  held.release();
  await closing;
});

test("without the other side in this process, calls take the wire", async () => {
  let asked = 0;
  const { publicJwk: _none, privateJwk } = await generateKey();
  const signer = await createSigner({ jwk: privateJwk, issuer: "cell", subject: "orders" });
  const client = createServiceClient({
    ...{ name: "stock", baseUrl: `http://127.0.0.1:${server.port}`, audience: "cell-1", signer },
    metrics: createMetrics({ service: "test" }),
    door() {
      asked++;
      return undefined;
    },
  });
  expect(await client.call(thing)).toMatchObject({ ok: false, code: "unauthenticated" });
  expect(asked).toBe(1);
  await client.close();
});
