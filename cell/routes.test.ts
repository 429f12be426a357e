import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Route } from "../platform/http.ts";
import { createKafka } from "../platform/kafka.ts";
import { silentLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createRedis } from "../platform/redis.ts";
import { readInput } from "../platform/request.ts";
import { cellEnvSchema } from "../platform/slice.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import { generateKey } from "../platform/trust.ts";
import { createContext } from "./host.ts";
import { SLICES } from "./roles.ts";

/** Every slice as it is built in a process whose stores are all away. */
const routes: (Route & { readonly slice: string })[] = [];
let close = async () => {};
beforeAll(async () => {
  const trust = await mkdtemp(join(tmpdir(), "routes-"));
  await writeFile(join(trust, "cell-key.jwk"), JSON.stringify((await generateKey()).privateJwk));
  const nobody = "127.0.0.1:1";
  const env = cellEnvSchema.parse({
    CELL: "routes",
    CELL_EPOCH: "1",
    REDIS_URL: `redis://${nobody}`,
    KAFKA_BROKERS: nobody,
    DATABASE_PORT: "1",
    TRUST_DIR: trust,
    PSP_URL: `http://${nobody}`,
  });
  const log = silentLogger();
  const redis = createRedis({ url: env.REDIS_URL, log });
  const kafka = createKafka({ brokers: [nobody], clientId: "routes", log });
  const stops: (() => Promise<unknown>)[] = [];
  for (const name of SLICE_NAMES) {
    const context = await createContext(
      name,
      { env, raw: {}, redis, kafka },
      log,
      createMetrics({ service: name }),
    );
    const built = SLICES[name].build(context);
    routes.push(...built.routes.map((route) => ({ ...route, slice: name })));
    stops.push(
      async () => built.stop?.(),
      () => context.sql.close(),
    );
    stops.push(...Object.values(context.clients).map((client) => () => client.close()));
  }
  close = async () => {
    await Promise.all(stops.map((stop) => stop()));
    await redis.close();
    await kafka.close();
    await rm(trust, { recursive: true, force: true });
  };
});
afterAll(() => close());

/** Operations of people that take no key, each with what makes a repetition harmless. */
const WITHOUT_KEY: Readonly<Record<string, string>> = {
  "couriers POST /v1/couriers/:courierId/heartbeat":
    "says that the courier is there now; again says the same",
  "tracking POST /v1/positions": "ten a second for each courier; a fix carries its own count",
};

const nameOf = ({ slice, method, path }: (typeof routes)[number]) => `${slice} ${method} ${path}`;

test("each POST of people asks for an Idempotency-Key, before it looks at anything else", () => {
  const posts = routes.filter(({ method, access }) => method === "POST" && access !== "internal");
  expect(new Set(posts.map(({ slice }) => slice)).size).toBeGreaterThanOrEqual(5);
  const withoutKey = posts.filter((route) => {
    const input = readInput(route, { headers: {}, body: "", query: {} });
    return !("ok" in input) || input.code !== "idempotency-key-missing";
  });
  expect(withoutKey.map(nameOf)).toEqual(Object.keys(WITHOUT_KEY));
});

test("people change things by POST alone, and nothing of a cell is open to everybody", () => {
  const changing = routes.filter(
    ({ method, access }) => access !== "internal" && !["GET", "POST"].includes(method),
  );
  expect(changing.map(nameOf)).toEqual([]);
  expect(routes.filter(({ access }) => access === "public").map(nameOf)).toEqual([]);
});

test("paths say who may call: /v1 people, /internal the region and the siblings", () => {
  for (const route of routes)
    expect([nameOf(route), route.path.startsWith("/internal/")]).toEqual([
      nameOf(route),
      route.access === "internal",
    ]);
});

test("whoever takes a payment's method takes no card's number", () => {
  const paying = routes.filter(({ slice, method, path }) =>
    slice === "payments"
      ? method === "POST" && path.startsWith("/internal/intents")
      : method === "POST" && path === "/v1/orders",
  );
  expect(paying.length).toBeGreaterThanOrEqual(6);
  const headers = { "content-type": "application/json", "idempotency-key": "one" };
  for (const route of paying.filter(({ body }) => body !== undefined)) {
    const input = readInput(route, { headers, body: '{"note":["4111 1111 1111 1111"]}', query: {} });
    expect([nameOf(route), input]).toMatchObject([nameOf(route), { code: "invalid-request" }]);
    expect([nameOf(route), JSON.stringify(input)]).toEqual([
      nameOf(route),
      expect.stringContaining("the number of a payment card"),
    ]);
    expect(JSON.stringify(input)).not.toContain("4111");
  }
});
