import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { freePorts } from "../local/ports.ts";
import { type Call, createServiceClient, type ServiceClient } from "./fetch.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { fail, PROBLEMS, type ProblemCode, toProblem } from "./problem.ts";
import { createSigner, createVerifier, generateKey } from "./trust.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, time: number) => void;

let server: Server;
let seen: { method: string; headers: IncomingMessage["headers"] }[];
let handler: Handler;
let baseUrl: string;
let metrics: Metrics;
let clients: ServiceClient[];

beforeEach(async () => {
  seen = [];
  clients = [];
  metrics = createMetrics({ service: "test" });
  server = createServer((request, response) => {
    seen.push({ method: request.method ?? "", headers: request.headers });
    request.resume();
    handler(request, response, seen.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function client(options: Partial<Parameters<typeof createServiceClient>[0]> = {}): ServiceClient {
  const made = createServiceClient({
    name: "stock",
    baseUrl,
    metrics,
    timeoutMs: 2_000,
    random: () => 0.1,
    ...options,
  });
  clients.push(made);
  return made;
}
const json = (response: ServerResponse, status: number, body: unknown, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
};
const problem = (response: ServerResponse, code: ProblemCode, extra = {}) =>
  json(response, PROBLEMS[code].status, toProblem(fail(code, "Do this.", extra), "/x"), {
    "retry-after": "7",
  });
const get: Call<unknown> = { method: "GET", path: "/x" };
const keyed: Call<unknown> = { method: "POST", path: "/x", body: {}, idempotencyKey: "k" };
const unkeyed: Call<unknown> = { method: "POST", path: "/x", body: {} };

describe("answers", () => {
  test("a good one has status, body and headers", async () => {
    handler = (_request, response) => json(response, 201, { a: 1 }, { etag: '"e"' });
    expect(await client().call(get)).toMatchObject({
      ok: true,
      status: 201,
      body: { a: 1 },
      headers: { etag: '"e"' },
    });
  });
  test("one that does not fit its contract is the other side's fault", async () => {
    handler = (_request, response) => json(response, 200, { a: "one" });
    const response = z.object({ a: z.number() });
    expect(await client().call({ ...get, response })).toMatchObject({ ok: false, code: "bad-gateway" });
  });
  test("a problem comes back as the failure that it was", async () => {
    handler = (_request, response) => problem(response, "out-of-stock", { short: ["a"] });
    expect(await client().call(keyed)).toEqual({
      ok: false,
      code: "out-of-stock",
      detail: "Do this.",
      extra: { short: ["a"], sent: true },
      retryAfterSeconds: 7,
    });
  });
  test.each([
    [404, "text"],
    [500, "text"],
    [500, { code: "no-code-of-ours" }],
  ])("%i without a problem of ours is a bad gateway", async (status, body) => {
    handler = (_request, response) => json(response, status, body);
    expect(await client().call(unkeyed)).toMatchObject({ ok: false, code: "bad-gateway", extra: { status } });
  });
  test("304 is good and has no body", async () => {
    handler = (_request, response) => response.writeHead(304, { etag: '"e"' }).end();
    expect(await client().call(get)).toMatchObject({ ok: true, status: 304, body: undefined });
  });
  test("one that never ends in bytes is cut off", async () => {
    handler = (_request, response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(1024 * 1024);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    };
    expect(await client().call(unkeyed)).toMatchObject({
      ok: false,
      code: "unavailable",
      extra: { sent: true },
    });
  });
});

test("token, key, deadline and media type go along", async () => {
  const key = await generateKey();
  const signer = await createSigner({ jwk: key.privateJwk, issuer: "cell", subject: "orders" });
  handler = (_request, response) => json(response, 200, {});
  const deadlineMs = Date.now() + 1_234;
  await client({ signer, audience: "seoul" }).call({ ...keyed, deadlineMs, headers: { "x-more": "m" } });
  const headers = seen[0]?.headers ?? {};
  expect(headers).toMatchObject({
    "idempotency-key": "k",
    "x-deadline-ms": String(deadlineMs),
    "content-type": "application/json",
    "x-more": "m",
  });
  const verifier = createVerifier({ keys: { keys: [key.publicJwk] }, audience: "seoul" });
  expect(await verifier.verify(String(headers.authorization).slice(7))).toEqual({
    issuer: "cell",
    subject: "orders",
  });
});

describe("repetition", () => {
  const recovers: Handler = (_request, response, time) =>
    time < 3 ? problem(response, "unavailable") : json(response, 200, { time });
  test.each([
    ["a GET", get],
    ["a POST with a key", keyed],
  ])("%s is repeated when the other side is away for a moment", async (_name, call) => {
    handler = recovers;
    expect(await client().call(call)).toMatchObject({ ok: true, body: { time: 3 } });
  });
  test("a POST without a key is not", async () => {
    handler = recovers;
    expect(await client().call(unkeyed)).toMatchObject({ ok: false, code: "unavailable" });
    expect(seen).toHaveLength(1);
  });
  test.each(["out-of-stock", "invalid-request", "not-accepting", "internal", "fenced"] as const)(
    "%s is an answer",
    async (code) => {
      handler = (_request, response) => problem(response, code);
      expect(await client().call(keyed)).toMatchObject({ ok: false, code });
      expect(seen).toHaveLength(1);
    },
  );
  test("a connection that breaks is repeated and counts as sent", async () => {
    handler = (request, _response) => request.socket.destroy();
    expect(await client().call(keyed)).toMatchObject({
      ok: false,
      code: "unavailable",
      extra: { sent: true },
    });
    expect(seen).toHaveLength(3);
  });
  test("no more than the budget, however many callers there are", async () => {
    handler = (_request, response) => problem(response, "request-in-progress");
    const one = client();
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 10 }, () => one.call(keyed)));
    // 100 calls bring 10 repetitions more than the 20 to start with.
    expect(seen.length).toBeGreaterThan(100);
    expect(seen.length).toBeLessThanOrEqual(130);
  });
});

describe("time", () => {
  test("an answer that does not come in time may have been acted upon", async () => {
    handler = () => {};
    const answer = await client({ timeoutMs: 100 }).call(unkeyed);
    expect(answer).toMatchObject({ ok: false, code: "unavailable", extra: { sent: true } });
  });
  test("with a deadline in the past nothing is sent", async () => {
    const answer = await client().call({ ...get, deadlineMs: Date.now() - 1 });
    expect(answer).toMatchObject({ ok: false, code: "unavailable", extra: { sent: false } });
    expect(seen).toHaveLength(0);
  });
  test("nobody there: not sent", async () => {
    const [port] = await freePorts(1);
    const answer = await client({ baseUrl: `http://127.0.0.1:${port}` }).call(unkeyed);
    expect(answer).toMatchObject({ ok: false, code: "unavailable", extra: { sent: false } });
  });
});

test("more calls at once than allowed are refused before anything is sent", async () => {
  const waiting: ServerResponse[] = [];
  handler = (_request, response) => void waiting.push(response);
  const one = client({ maxInFlight: 2 });
  const calls = [one.call(get), one.call(get)];
  await expect.poll(() => waiting.length).toBe(2);
  expect(await one.call(get)).toMatchObject({ ok: false, code: "overloaded", extra: { sent: false } });
  for (const response of waiting) json(response, 200, {});
  expect((await Promise.all(calls)).every((answer) => answer.ok)).toBe(true);
});

describe("the breaker", () => {
  const many = async (one: ServiceClient, count = 30) => {
    for (let index = 0; index < count; index++) await one.call(unkeyed);
  };
  test.each(["internal", "unavailable", "overloaded", "bad-gateway"] as const)(
    "opens when most answers are %s, and closes again",
    async (code) => {
      handler = (_request, response) => problem(response, code);
      const one = client();
      await many(one);
      expect(seen.length).toBeLessThan(30);
      const before = seen.length;
      expect(await one.call(unkeyed)).toMatchObject({ code: "unavailable", extra: { sent: false } });
      expect(seen.length).toBe(before);
      handler = (_request, response) => json(response, 200, {});
      await expect.poll(async () => (await one.call(get)).ok, { timeout: 15_000 }).toBe(true);
    },
  );
  test.each(["out-of-stock", "not-found", "not-accepting", "processor-unavailable"] as const)(
    "stays closed when the answers are %s",
    async (code) => {
      handler = (_request, response) => problem(response, code);
      await many(client());
      expect(seen).toHaveLength(30);
    },
  );
});
