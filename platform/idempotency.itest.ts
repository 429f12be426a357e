import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { created, type HttpResult } from "./http.ts";
import { type IdempotencyStore, type IdempotentCall, sqlIdempotency } from "./idempotency.ts";
import { type Failure, fail } from "./problem.ts";
import type { Sql } from "./sql.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

let shard: TestShard;
let sql: Sql;
let store: IdempotencyStore;
beforeAll(async () => {
  shard = await createTestShard(1);
  sql = shard.as("orders");
  store = sqlIdempotency(sql, "orders");
  await shard.admin.query("CREATE TABLE orders.effect_of_test (key TEXT NOT NULL)");
  await shard.admin.query("GRANT SELECT, INSERT ON orders.effect_of_test TO orders");
});
afterAll(() => shard.drop());

let keys = 0;
const callOf = (change: Partial<IdempotentCall> = {}): IdempotentCall => ({
  key: `key-${keys++}`,
  scope: "u-1 POST /v1/things",
  body: '{"n":1}',
  ...change,
});
/** An effect that can be counted, and the answer that tells which run had it. */
const work =
  ({ key }: IdempotentCall) =>
  async (): Promise<HttpResult> => {
    const rows = await sql.query<{ run: number }>(
      `INSERT INTO orders.effect_of_test (key) VALUES ($1)
       RETURNING (SELECT count(*) FROM orders.effect_of_test WHERE key = $1) + 1 AS run`,
      [key],
    );
    return created({ run: rows[0]?.run });
  };
const effects = async ({ key }: IdempotentCall) =>
  (await sql.query("SELECT key FROM orders.effect_of_test WHERE key = $1", [key])).length;
const stateOf = async ({ key }: IdempotentCall) =>
  (await sql.query<{ state: string }>("SELECT state FROM orders.idempotency WHERE key = $1", [key]))[0]
    ?.state;
/** What a process leaves that is killed after the effect and before the answer. */
async function killedBetween(call: IdempotentCall): Promise<void> {
  let reached = () => {};
  const done = new Promise<void>((resolve) => {
    reached = resolve;
  });
  void store.run(call, async () => {
    await work(call)();
    reached();
    return new Promise<never>(() => {});
  });
  await done;
}
const leaseIsOver = ({ key }: IdempotentCall) =>
  shard.admin.query(
    "UPDATE orders.idempotency SET lease_until = now() - INTERVAL '1 second' WHERE key = $1",
    [key],
  );

describe("one key", () => {
  test("twenty at once: one effect; whoever repeats gets the answer of the one", async () => {
    const call = callOf();
    const answers = await Promise.all(Array.from({ length: 20 }, () => store.run(call, work(call))));
    const refused = answers.filter((answer) => "ok" in answer);
    for (const one of refused) expect(one).toMatchObject({ code: "request-in-progress" });
    const given = answers.filter((answer) => !("ok" in answer));
    expect(given.length).toBeGreaterThanOrEqual(1);
    for (const one of given) expect(one).toMatchObject({ status: 201, body: { run: 1 } });
    expect(given.filter((answer) => answer.headers?.["Idempotent-Replayed"] === undefined)).toHaveLength(1);
    const repeated = await Promise.all(Array.from({ length: 20 }, () => store.run(call, work(call))));
    for (const one of repeated)
      expect(one).toEqual({ status: 201, body: { run: 1 }, headers: { "Idempotent-Replayed": "true" } });
    expect(await effects(call)).toBe(1);
  });

  test("another body is refused, while the first one runs and afterwards, and has no effect", async () => {
    const call = callOf();
    const other = { ...call, body: '{"n":2}' };
    let whileRunning: HttpResult | Failure | undefined;
    await store.run(call, async () => {
      whileRunning = await store.run(other, work(other));
      return work(call)();
    });
    for (const answer of [whileRunning, await store.run(other, work(other))])
      expect(answer).toMatchObject({ ok: false, code: "idempotency-key-reused" });
    expect(await effects(call)).toBe(1);
  });

  test("the same key of another person, or on another path, is another key", async () => {
    const call = callOf();
    for (const scope of [call.scope, "u-2 POST /v1/things", "u-1 POST /v1/others"])
      await store.run({ ...call, scope }, work(call));
    expect(await effects(call)).toBe(3);
  });
});

describe("what is remembered", () => {
  test.each([
    ["a refusal with a meaning", fail("out-of-stock", "None left.", { sku: "a" }), true],
    ["what does not exist", fail("not-found", "No."), true],
    ["a request that was never valid", fail("invalid-request", "No."), false],
    ["too many requests", fail("rate-limited", "Later."), false],
    ["a fault of ours", fail("unavailable", "Later."), false],
  ])("%s", async (_name, failure, isKept) => {
    const call = callOf();
    const first = await store.run(call, async () => failure);
    expect(first).toEqual(failure);
    const second = await store.run(call, work(call));
    if (isKept) expect(second).toEqual({ ...failure, headers: { "Idempotent-Replayed": "true" } });
    else expect(second).toMatchObject({ status: 201, body: { run: 1 } });
    expect(await effects(call)).toBe(isKept ? 0 : 1);
  });

  test("a handler that throws leaves the key free", async () => {
    const call = callOf();
    const thrown = store.run(call, () => Promise.reject(new Error("a bug")));
    await expect(thrown).rejects.toThrow("a bug");
    expect(await stateOf(call)).toBeUndefined();
    expect(await store.run(call, work(call))).toMatchObject({ status: 201 });
  });
});

describe("killed between the effect and the answer", () => {
  test("nobody runs it again before the lease is over", async () => {
    const call = callOf();
    await killedBetween(call);
    expect(await store.run(call, work(call))).toMatchObject({ code: "request-in-progress" });
    expect(await effects(call)).toBe(1);
  });

  test("then one of many runs it, and its answer stands", async () => {
    const call = callOf();
    await killedBetween(call);
    await leaseIsOver(call);
    const answers = await Promise.all(Array.from({ length: 10 }, () => store.run(call, work(call))));
    const ran = answers.filter((one) => !("ok" in one) && one.headers === undefined);
    expect(ran).toHaveLength(1);
    // The effect's own key is what makes a second run harmless; the store promises one run at a time.
    expect(await effects(call)).toBe(2);
    expect(await store.run(call, work(call))).toMatchObject({ status: 201, body: { run: 2 } });
  });

  test("one that was only slow does not overwrite the answer of the one that took over", async () => {
    const call = callOf();
    let goOn = () => {};
    const waiting = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let begun = () => {};
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const slow = store.run(call, async () => {
      begun();
      await waiting;
      return created({ run: "slow" });
    });
    await running;
    await leaseIsOver(call);
    await store.run(call, async () => created({ run: "heir" }));
    goOn();
    await slow;
    expect(await store.run(call, work(call))).toMatchObject({ body: { run: "heir" } });
  });
});

test("old answers are forgotten, a bite at a time, and young ones are not", async () => {
  const young = callOf();
  await store.run(young, work(young));
  await shard.admin.query(
    `INSERT INTO orders.idempotency (scope, key, body_hash, state, owner, lease_until, created_at)
     SELECT 'u-old', 'old-' || n, '', 'done', '', now(), now() - INTERVAL '31 days' FROM generate_series(1, 25) AS n`,
  );
  expect(await store.sweep(10)).toBe(10);
  expect(await store.sweep(10)).toBe(10);
  expect(await store.sweep(10)).toBe(5);
  expect(await store.sweep(10)).toBe(0);
  expect(await stateOf(young)).toBe("done");
});
