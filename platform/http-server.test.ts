import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { created, defineRoute, ok, type Route } from "./http.ts";
import { fail } from "./problem.ts";
import { Contended, Fenced } from "./sqlstate.ts";
import { startTestServer, type TestServer } from "./testing/http.ts";

/** What the slow route waits for, and what it saw. */
const slow = { release: () => {}, aborted: false, finished: 0 };

const routes: Route[] = [
  defineRoute({
    method: "POST",
    path: "/v1/things/:id",
    summary: "Takes a thing.",
    access: { roles: ["customer"] },
    body: z.object({ count: z.int().min(1).max(9), note: z.string().optional() }),
    query: z.object({ dry: z.enum(["yes", "no"]).optional() }),
    responses: { 201: undefined },
    idempotency: "none",
    handler: async ({ body, params, query, principal }) => created({ body, params, query, principal }),
  }),
  defineRoute({
    method: "GET",
    path: "/v1/things/:id",
    summary: "Shows a thing.",
    access: "public",
    responses: { 200: undefined },
    handler: async ({ params, query }) => ok({ params, query }),
  }),
  defineRoute({
    method: "POST",
    path: "/v1/keyed",
    summary: "Needs a key.",
    access: { roles: ["customer"] },
    responses: { 200: undefined },
    handler: async ({ idempotencyKey }) => ok({ idempotencyKey }),
  }),
  defineRoute({
    method: "GET",
    path: "/internal/thing",
    summary: "For siblings.",
    access: "internal",
    responses: { 200: undefined },
    handler: async ({ principal }) => ok(principal),
  }),
  defineRoute({
    method: "GET",
    path: "/v1/slow",
    summary: "Takes its time.",
    access: "public",
    responses: { 200: undefined },
    async handler({ signal }) {
      await new Promise<void>((resolve) => {
        slow.release = resolve;
        signal.addEventListener("abort", () => {
          slow.aborted = true;
        });
      });
      slow.finished++;
      return ok({ slow: true });
    },
  }),
  defineRoute({
    method: "GET",
    path: "/v1/throws/:what",
    summary: "Goes wrong.",
    access: "public",
    responses: { 200: undefined },
    async handler({ params }) {
      if (params.what === "fenced") throw new Fenced(1, 2);
      if (params.what === "contended") throw new Contended("met others");
      if (params.what === "database") throw new Error("connect ECONNREFUSED 127.0.0.1:5432");
      if (params.what === "failure")
        return { ...fail("out-of-stock", "Order less.", { short: ["a"] }), headers: { "x-proof": "p" } };
      throw new Error("a secret of the inside");
    },
  }),
];

let at: TestServer;
beforeAll(async () => {
  at = await startTestServer(routes, { maxBodyBytes: 1_000, maxConcurrent: 2 });
});
afterAll(() => at.server.close());

async function post(path: string, body: string, headers: Record<string, string> = {}) {
  const user = await at.asUser("u1", "customer");
  const response = await fetch(at.url + path, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...user, ...headers },
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Problem };
}
async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(at.url + path, { headers });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Problem };
}
interface Problem {
  readonly [name: string]: unknown;
}

describe("what is wrong with a request is said as a problem", () => {
  const cases: readonly [string, string, string, Record<string, string>, number, string][] = [
    ["no JSON", "/v1/things/a", "{", {}, 400, "invalid-request"],
    ["a field out of bounds", "/v1/things/a", '{"count":10}', {}, 400, "invalid-request"],
    ["a field missing", "/v1/things/a", "{}", {}, 400, "invalid-request"],
    [
      "a query value that is none of the set",
      "/v1/things/a?dry=maybe",
      '{"count":1}',
      {},
      400,
      "invalid-request",
    ],
    ["a query name given twice", "/v1/things/a?dry=yes&dry=no", '{"count":1}', {}, 400, "invalid-request"],
    ["a path that cannot be decoded", "/v1/things/%zz", '{"count":1}', {}, 400, "invalid-request"],
    [
      "another media type",
      "/v1/things/a",
      '{"count":1}',
      { "content-type": "text/xml" },
      415,
      "unsupported-media-type",
    ],
    [
      "too large a body",
      "/v1/things/a",
      JSON.stringify({ count: 1, note: "x".repeat(2_000) }),
      {},
      413,
      "payload-too-large",
    ],
    ["no key", "/v1/keyed", "{}", {}, 400, "idempotency-key-missing"],
    ["a key with a space", "/v1/keyed", "{}", { "idempotency-key": "a b" }, 400, "idempotency-key-missing"],
    [
      "a key that is too long",
      "/v1/keyed",
      "{}",
      { "idempotency-key": "k".repeat(129) },
      400,
      "idempotency-key-missing",
    ],
    ["an unknown path", "/v1/nothing", "{}", {}, 404, "not-found"],
    ["another method", "/v1/slow", "{}", {}, 405, "method-not-allowed"],
    [
      "a deadline that has passed",
      "/v1/things/a",
      '{"count":1}',
      { "x-deadline-ms": "1000" },
      504,
      "deadline-exceeded",
    ],
  ];
  test.each(cases)("%s", async (_name, path, body, headers, status, code) => {
    const answer = await post(path, body, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(answer.body).toMatchObject({
      status,
      code,
      type: `urn:fulfillment-cells:problem:${code}`,
      instance: path.split("?")[0],
    });
    expect(String(answer.body.detail)).not.toBe("");
  });

  test("a schema's complaint names the field", async () => {
    const { body } = await post("/v1/things/a", '{"count":10}');
    expect(body.issues).toEqual([{ path: "count", message: expect.any(String) }]);
    expect(body.detail).toMatch(/^count: /);
  });

  test("the allowed methods go with the refusal of another one", async () => {
    expect((await post("/v1/slow", "{}")).headers.get("allow")).toBe("GET");
  });
});

test("a good request reaches its handler with what the schemas made of it", async () => {
  const { status, body } = await post("/v1/things/a%20b?dry=yes", '{"count":3,"unknown":1}');
  expect(status).toBe(201);
  expect(body).toEqual({
    body: { count: 3 },
    params: { id: "a b" },
    query: { dry: "yes" },
    principal: { kind: "gateway", subject: "gateway", user: { sub: "u1", roles: ["customer"] } },
  });
});

describe("who may call", () => {
  const path = "/v1/things/a";
  const body = '{"count":1}';
  test("nobody without a token", async () => {
    expect(await post(path, body, { authorization: "" })).toMatchObject({ status: 401 });
    expect(await post(path, body, { authorization: "Bearer x.y.z" })).toMatchObject({ status: 401 });
  });
  test("a user with the role, and staff", async () => {
    expect((await post(path, body, await at.asUser("u", "customer"))).status).toBe(201);
    expect((await post(path, body, await at.asUser("u", "staff"))).status).toBe(201);
    expect((await post(path, body, await at.asUser("u", "courier"))).status).toBe(403);
    expect((await post(path, body, await at.asUser("u", "root,admin"))).status).toBe(403);
  });
  test("a sibling calls what is internal and nothing that is for users", async () => {
    expect(await get("/internal/thing", await at.asSlice())).toMatchObject({
      status: 200,
      body: { kind: "slice", subject: "orders" },
    });
    expect((await get("/internal/thing")).status).toBe(401);
    expect((await post(path, body, await at.asSlice())).status).toBe(403);
  });
  test("a sibling cannot speak for a user", async () => {
    const asUser = { ...(await at.asSlice()), "x-cells-user": "u1", "x-cells-roles": "staff" };
    expect((await post(path, body, asUser)).status).toBe(403);
    expect((await get("/internal/thing", asUser)).body.user).toBeUndefined();
  });
});

describe("what goes wrong inside", () => {
  test.each([
    ["fenced", 503, "fenced"],
    ["contended", 503, "overloaded"],
    ["database", 503, "unavailable"],
  ])("%s is said to be over soon", async (what, status, code) => {
    const answer = await get(`/v1/throws/${what}`);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });
  test("a bug says nothing of the inside, and the log has it", async () => {
    const answer = await get("/v1/throws/bug");
    expect(answer).toMatchObject({ status: 500, body: { code: "internal" } });
    expect(JSON.stringify(answer.body)).not.toContain("secret");
    expect(at.lines.find((line) => String(line.error).includes("a secret of the inside"))).toMatchObject({
      level: "error",
      route: "/v1/throws/:what",
    });
  });
  test("a failure keeps its members and headers", async () => {
    const answer = await get("/v1/throws/failure");
    expect(answer).toMatchObject({ status: 409, body: { code: "out-of-stock", short: ["a"] } });
    expect(answer.headers.get("x-proof")).toBe("p");
  });
});

describe("time and room", () => {
  test("at the deadline the caller is told, the handler's signal aborts, and its room is kept until it ends", async () => {
    Object.assign(slow, { aborted: false, finished: 0 });
    const answer = await get("/v1/slow", { "x-deadline-ms": String(Date.now() + 100) });
    expect(answer).toMatchObject({ status: 504, body: { code: "deadline-exceeded" } });
    expect(slow).toMatchObject({ aborted: true, finished: 0 });
    const first = slow.release;
    const second = get("/v1/slow");
    await expect.poll(() => slow.release === first).toBe(false);
    expect((await get("/v1/slow")).status).toBe(503);
    first();
    slow.release();
    expect((await second).status).toBe(200);
    expect(slow.finished).toBe(2);
  });

  test("one request too many is refused at once; probes still answer", async () => {
    const before = slow.release;
    const first = get("/v1/slow");
    await expect.poll(() => slow.release === before).toBe(false);
    const releaseFirst = slow.release;
    const second = get("/v1/slow");
    await expect.poll(() => slow.release === releaseFirst).toBe(false);
    const refused = await get("/v1/slow");
    expect(refused).toMatchObject({ status: 503, body: { code: "overloaded" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await get("/livez")).status).toBe(200);
    releaseFirst();
    slow.release();
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200]);
  });

  test("who may not call takes no room", async () => {
    const before = slow.release;
    const held = [get("/v1/slow")];
    await expect.poll(() => slow.release === before).toBe(false);
    const releaseFirst = slow.release;
    held.push(get("/v1/slow"));
    await expect.poll(() => slow.release === releaseFirst).toBe(false);
    expect((await get("/internal/thing")).status).toBe(401);
    releaseFirst();
    slow.release();
    await Promise.all(held);
  });

  test("a client that goes away aborts the handler", async () => {
    slow.aborted = false;
    const before = slow.release;
    const leaving = new AbortController();
    const call = fetch(`${at.url}/v1/slow`, { signal: leaving.signal }).catch(() => "gone");
    await expect.poll(() => slow.release === before).toBe(false);
    leaving.abort();
    expect(await call).toBe("gone");
    await expect.poll(() => slow.aborted).toBe(true);
    slow.release();
    await expect
      .poll(async () => (await at.metrics.render()).includes('route="/v1/slow",code="499"'))
      .toBe(true);
  });
});

test("the operations beside the routes", async () => {
  expect((await get("/readyz")).body).toEqual({ ok: true, checks: {} });
  const text = await (await fetch(`${at.url}/metrics`)).text();
  expect(text).toMatch(
    /http_request_seconds_count\{service="test",method="GET",route="\/v1\/slow",code="200"\} \d/,
  );
  const document = (await get("/openapi.json")).body as { paths: Record<string, Record<string, unknown>> };
  expect(Object.keys(document.paths)).toContain("/v1/things/{id}");
  expect(Object.keys(document.paths["/v1/things/{id}"] ?? {})).toEqual(["post", "get"]);
});

test("closing lets what is under way end, and takes nothing new", async () => {
  const own = await startTestServer(routes);
  const before = slow.release;
  const last = fetch(`${own.url}/v1/slow`);
  await expect.poll(() => slow.release === before).toBe(false);
  const closing = own.server.close();
  const refused = await new Promise<boolean>((resolve) => {
    const socket = connect(own.server.port, "127.0.0.1", () => resolve(false));
    socket.on("error", () => resolve(true));
  });
  expect(refused).toBe(true);
  slow.release();
  const answer = await last;
  expect(answer.status).toBe(200);
  expect(answer.headers.get("connection")).toBe("close");
  await answer.arrayBuffer();
  await closing;
});

test("a farewell ends each connection with its next answer, and new ones are still taken", async () => {
  const own = await startTestServer(routes);
  own.server.farewell();
  for (const attempt of ["first", "second"]) {
    const answer = await fetch(`${own.url}/readyz`);
    expect([attempt, answer.status, answer.headers.get("connection")]).toEqual([attempt, 200, "close"]);
    await answer.arrayBuffer();
  }
  await own.server.close();
});

test("clients let an idle connection go sooner than a process takes to stop", async () => {
  const own = await startTestServer(routes);
  const answer = await fetch(`${own.url}/readyz`);
  await answer.arrayBuffer();
  // A cell drains for four seconds; clients take one off what they are told.
  expect(answer.headers.get("keep-alive")).toBe("timeout=3");
  await own.server.close();
});
