import { afterAll, beforeAll, expect, test } from "vitest";
import { type DomainEvent, makeEvent } from "./events.ts";
import { createDelivery, deliver, type Subscription } from "./inbox.ts";
import { fail } from "./problem.ts";
import type { Sql } from "./sql.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

let shard: TestShard;
let sql: Sql;
beforeAll(async () => {
  shard = await createTestShard(1);
  sql = shard.as("fulfillment");
});
afterAll(() => shard.drop());

const MADE = "orders.made_of_test.v1";
const ENDED = "orders.ended_of_test.v1";
const OTHER = "orders.other_of_test.v1";

let events = 0;
const event = (type: string, subject: string, id = `event-${events++}`): DomainEvent =>
  makeEvent("test/orders", { type, subject, version: 1, data: {} }, new Date().toISOString(), id);

/** Consumers of two types, and what they were given, in their order. */
function consumersOf(prefix: string, refused?: string) {
  const given: string[] = [];
  const one = (name: string, type: string): Subscription => ({
    consumer: `${prefix}-${name}`,
    from: "orders",
    types: [type],
    async handle(_tx, { subject }) {
      if (subject === refused) return fail("conflict", "It does not fit.");
      given.push(`${name} ${subject}`);
      return "applied";
    },
  });
  return { given, subscriptions: [one("makes", MADE), one("ends", ENDED)] };
}

/** The inbox rows of these consumers, and in how many transactions they came. */
async function inboxOf(prefix: string): Promise<{ rows: number; transactions: number }> {
  const [row] = await shard.admin.query<{ rows: number; transactions: number }>(
    `SELECT count(*)::INT8 AS rows, count(DISTINCT xmin::TEXT)::INT8 AS transactions
     FROM fulfillment.inbox WHERE consumer LIKE $1`,
    [`${prefix}-%`],
  );
  return row ?? { rows: 0, transactions: 0 };
}

test("batches that come together share a transaction, whichever consumers want them, each in its order", async () => {
  const { given, subscriptions } = consumersOf("together");
  const together = createDelivery(sql, "fulfillment", subscriptions);
  await Promise.all([
    together([event(MADE, "a"), event(OTHER, "a"), event(ENDED, "a")]),
    together([event(MADE, "b"), event(ENDED, "b")]),
    together([event(OTHER, "c")]),
  ]);
  expect(given).toEqual(["makes a", "ends a", "makes b", "ends b"]);
  expect(await inboxOf("together")).toEqual({ rows: 4, transactions: 1 });
});

test("an event that comes twice is applied once, in one batch and in a later one", async () => {
  const { given, subscriptions } = consumersOf("twice");
  const together = createDelivery(sql, "fulfillment", subscriptions);
  const same = event(MADE, "a", "event-twice");
  await together([same, event(ENDED, "a"), same]);
  await together([same]);
  await deliver(sql, "fulfillment", subscriptions, same);
  expect(given).toEqual(["makes a", "ends a"]);
});

test("when one cannot be applied nothing of what it shares is, and all who brought it hear of that", async () => {
  const { given, subscriptions } = consumersOf("refused", "bad");
  const together = createDelivery(sql, "fulfillment", subscriptions);
  const good = event(MADE, "good");
  const results = await Promise.allSettled([together([good]), together([event(MADE, "bad")])]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await inboxOf("refused")).toEqual({ rows: 0, transactions: 0 });
  given.splice(0);
  await together([good]);
  expect(given).toEqual(["makes good"]);
});

test("several of one sort go to a consumer in one piece where it takes them so", async () => {
  const pieces: string[][] = [];
  const subscription: Subscription = {
    consumer: "pieces-all",
    from: "orders",
    types: [MADE],
    handle: async (_tx, { subject }) => {
      pieces.push([subject]);
      return "applied";
    },
    handleAll: async (_tx, all) => {
      pieces.push(all.map(({ subject }) => subject));
    },
  };
  const together = createDelivery(sql, "fulfillment", [subscription]);
  await Promise.all([together([event(MADE, "a"), event(OTHER, "a")]), together([event(MADE, "b")])]);
  await together([event(MADE, "c")]);
  expect(pieces).toEqual([["a", "b"], ["c"]]);
});
