import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { topicOf } from "./events.ts";
import { createKafka, type KafkaBus } from "./kafka.ts";
import { silentLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { appendEvent, createRelay } from "./outbox.ts";
import type { Sql } from "./sql.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";
import { eventually, testStores } from "./testing/stores.ts";
import { createWorkerLease } from "./workerlease.ts";

const log = silentLogger();

let shard: TestShard;
let kafka: KafkaBus;
/** The shard as two processes see it, with the transactions that each has begun. */
let one: { readonly sql: Sql; begun: number };
let other: typeof one;

beforeAll(async () => {
  shard = await createTestShard(5);
  kafka = createKafka({ brokers: testStores().kafkaBrokers.split(","), clientId: shard.name, log });
  await kafka.ensureTopics([topicOf(shard.name, "orders")], {
    partitions: 1,
    replicas: 1,
    retentionHours: 1,
  });
});
afterAll(async () => {
  await kafka?.removeTopics([topicOf(shard.name, "orders")]);
  await kafka?.close();
  await shard?.drop();
});
beforeEach(() => {
  one = counted(shard.as("orders"));
  other = counted(shard.as("orders"));
});

function counted(sql: Sql): typeof one {
  const process = {
    begun: 0,
    sql: {
      ...sql,
      transaction: (fn, options) => {
        process.begun++;
        return sql.transaction(fn, options);
      },
    } satisfies Sql as Sql,
  };
  return process;
}

const leaseOf = ({ sql }: typeof one, name: string, holder: string) =>
  createWorkerLease({ sql, schema: "orders", name, holder, seconds: 1 });

describe("a lease", () => {
  it("has one holder, and another one when that is gone for its time", async () => {
    const first = leaseOf(one, "gone", "first");
    const second = leaseOf(other, "gone", "second");
    expect(await first.hold()).toBe(true);
    expect(first.isFresh()).toBe(true);
    expect(await second.hold()).toBe(false);
    await eventually(() => second.hold(), 5_000, 20);
    await eventually(async () => !first.isFresh(), 5_000, 20);
    expect(await first.hold()).toBe(false);
  });

  it("is had at once after it was given back", async () => {
    const first = leaseOf(one, "given-back", "first");
    expect(await first.hold()).toBe(true);
    await first.release();
    expect(first.isFresh()).toBe(false);
    expect(await leaseOf(other, "given-back", "second").hold()).toBe(true);
  });

  it("that somebody else has costs a look and no transaction", async () => {
    expect(await leaseOf(one, "looked-at", "first").hold()).toBe(true);
    expect(await leaseOf(other, "looked-at", "second").hold()).toBe(false);
    expect([one.begun, other.begun]).toEqual([1, 0]);
  });
});

describe("a relay", () => {
  const relayOf = ({ sql }: typeof one, holder: string) =>
    createRelay({
      ...({ center: shard.name, slice: "orders", holder, sql, kafka, log } as const),
      bypass: () => Promise.reject(new Error("not this way")),
      metrics: createMetrics({ service: "test" }),
    });

  it("writes nothing while there is nothing to move", async () => {
    const relay = relayOf(one, "idle");
    for (let round = 0; round < 5; round++) expect(await relay.round()).toBe(false);
    expect(one.begun).toBe(0);
    const held = await one.sql.query("SELECT name FROM orders.worker_lease WHERE name = 'relay'");
    expect(held).toEqual([]);
  });

  it("that was killed holds up its events for some seconds and no longer", async () => {
    const append = () =>
      shard
        .as("orders")
        .transaction((tx) =>
          appendEvent(tx, "orders", { type: "orders.test.v1", subject: "o-1", version: 1, data: {} }),
        );
    const left = () => one.sql.query("SELECT id FROM orders.outbox");
    const killed = relayOf(one, "killed");
    await append();
    await killed.round();
    expect(await left()).toEqual([]);
    await append();
    const heir = relayOf(other, "heir");
    await heir.round();
    expect(await left()).toHaveLength(1);
    const fromMs = Date.now();
    await eventually(async () => {
      await heir.round();
      return (await left()).length === 0;
    }, 9_000);
    expect(Date.now() - fromMs).toBeLessThan(9_000);
  });
});
