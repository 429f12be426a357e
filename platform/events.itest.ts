import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "../local/ports.ts";
import { replayDeadLetters } from "./consumer.ts";
import { type DomainEvent, deadLetterTopicOf, topicOf } from "./events.ts";
import { createKafka, type KafkaBus, type KafkaMessage } from "./kafka.ts";
import { silentLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { appendEvent, createRelay } from "./outbox.ts";
import { fail } from "./problem.ts";
import type { BuiltSlice, SliceDefinition } from "./slice.ts";
import type { Sql, Tx } from "./sql.ts";
import { startTestCell, type TestCell } from "./testing/cell.ts";
import { eventually } from "./testing/stores.ts";

const TYPE = "orders.tested.v1";
const LIVENESS_MS = 60_000;

/** Subjects that the consumer cannot take at the moment, and how: by an error or by a refusal. */
const poison = new Map<string, "throws" | "refuses">();
const tries = new Map<string, number>();

const NOTHING: BuiltSlice = { routes: [], subscriptions: [], workers: [] };
/** One slice that tells and one that writes down what it hears, without any protection of its own against duplicates. */
const teller: SliceDefinition = { name: "orders", build: () => NOTHING };
const hearer: SliceDefinition = {
  name: "fulfillment",
  build: () => ({
    ...NOTHING,
    subscriptions: [{ consumer: "hears", from: "orders", types: [TYPE], handle: hear }],
  }),
};

async function hear(tx: Tx, event: DomainEvent): Promise<"applied" | ReturnType<typeof fail>> {
  tries.set(event.subject, (tries.get(event.subject) ?? 0) + 1);
  const sort = poison.get(event.subject);
  if (sort === "throws") throw new Error("it cannot be read");
  await tx.query("INSERT INTO fulfillment.heard_of_test (subject, version) VALUES ($1, $2)", [
    event.subject,
    event.version,
  ]);
  return sort === "refuses" ? fail("conflict", "It does not fit.") : "applied";
}

/** The line to the broker, which the test can cut. */
const line = { isCut: false, sockets: new Set<Socket>(), closedPort: 0 };
function dial(host: string, port: number): Socket {
  const socket = connect(line.isCut ? { host: "127.0.0.1", port: line.closedPort } : { host, port });
  line.sockets.add(socket);
  socket.once("close", () => line.sockets.delete(socket));
  return socket;
}
function cut(): void {
  line.isCut = true;
  for (const socket of line.sockets) socket.destroy(new Error("the line was cut"));
}

let cell: TestCell;
let sql: Sql;
/** A member of the region that nobody cuts off. */
let kafka: KafkaBus;
beforeAll(async () => {
  [line.closedPort = 0] = await freePorts(1);
  cell = await startTestCell({
    slices: [teller, hearer],
    consumers: new Map([["orders", ["fulfillment"]]]),
    partitions: 3,
    dialKafka: dial,
  });
  await cell.sql.query(
    `CREATE TABLE fulfillment.heard_of_test (position INT8 GENERATED ALWAYS AS IDENTITY, subject TEXT NOT NULL, version INT8 NOT NULL)`,
  );
  await cell.sql.query("GRANT SELECT, INSERT ON fulfillment.heard_of_test TO fulfillment");
  sql = cell.running("orders").context.sql;
  const brokers = (cell.env.KAFKA_BROKERS ?? "").split(",");
  kafka = createKafka({ brokers, clientId: "test", log: silentLogger() });
});
afterAll(async () => {
  await kafka?.close();
  await cell?.stop();
});

let subjects = 0;
const fresh = (name: string) => `${name}-${subjects++}`;
const tell = (subject: string, versions: readonly number[]) =>
  sql.transaction(async (tx) => {
    for (const version of versions)
      await appendEvent(tx, "orders", { type: TYPE, subject, version, data: { version } });
  });
const heard = async (subject: string) =>
  (
    await cell.sql.query<{ version: number }>(
      "SELECT version FROM fulfillment.heard_of_test WHERE subject = $1 ORDER BY position",
      [subject],
    )
  ).map(({ version }) => version);
const waiting = async () => (await cell.sql.query("SELECT id FROM orders.outbox")).length;
const hears = (subject: string, versions: readonly number[]) =>
  eventually(async () => {
    const now = await heard(subject);
    if (now.length < versions.length) throw new Error(`${subject}: ${now.join()}`);
    expect(now).toEqual(versions);
    return true;
  }, LIVENESS_MS);
/** How many events left the outbox this way. */
async function sent(way: "kafka" | "bypass"): Promise<number> {
  const text = await cell.running("orders").context.metrics.render();
  return Number(new RegExp(`^outbox_sent_total\\{way="${way}".*\\} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}
let looks = 0;
/** What lies in a topic, from its beginning. */
async function contents(topic: string): Promise<KafkaMessage[]> {
  const found: KafkaMessage[] = [];
  await kafka.drain({
    topic,
    group: `${cell.center}.look-${looks++}`,
    timeoutMs: LIVENESS_MS,
    handler: async (message) => void found.push(message),
  });
  return found;
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe("the normal way", () => {
  test("each aggregate's events come once and in their order, whoever else tells meanwhile", async () => {
    const names = range(1, 6).map(() => fresh("order"));
    await Promise.all(
      names.map(async (name) => {
        for (const version of range(1, 10)) await tell(name, [version]);
      }),
    );
    for (const name of names) await hears(name, range(1, 10));
    expect(await waiting()).toBe(0);
  });

  test("a relay that dies between sending and deleting sends again; the effect is there once", async () => {
    const name = fresh("twice");
    const topic = topicOf(cell.center, "orders");
    // The cell's own relay would be quicker: it is stopped for this one.
    await cell.stopSlice("orders");
    await cell.sql.transaction(
      (tx) => appendEvent(tx, "orders", { type: TYPE, subject: name, version: 1, data: {} }),
      { epoch: null },
    );
    let deaths = 2;
    const dying: Sql = {
      ...cell.sql,
      async query<R>(text: string, values?: readonly unknown[]): Promise<R[]> {
        if (text.startsWith("DELETE FROM orders.outbox") && deaths-- > 0) throw new Error("killed");
        return cell.sql.query<R>(text, values);
      },
      transaction: (fn) => cell.sql.transaction(fn, { epoch: null }),
    };
    const relay = createRelay({
      center: cell.center,
      slice: "orders",
      holder: "dying",
      sql: dying,
      kafka,
      bypass: () => Promise.reject(new Error("not this way")),
      log: silentLogger(),
      metrics: createMetrics({ service: "test" }),
    });
    await expect(relay.round()).rejects.toThrow("killed");
    await expect(relay.round()).rejects.toThrow("killed");
    expect(await relay.round()).toBe(false);
    await relay.release();
    await cell.startSlice("orders");
    sql = cell.running("orders").context.sql;
    await tell(name, [2]);
    await hears(name, [1, 2]);
    const copies = (await contents(topic)).filter(({ key }) => key === name);
    expect(copies.map(({ headers }) => headers.ce_aggregateversion)).toEqual(["1", "1", "1", "2"]);
    expect(new Set(copies.map(({ headers }) => headers.ce_id)).size).toBe(2);
  });
});

describe("dead letters", () => {
  test.each(["throws", "refuses"] as const)(
    "an event that %s is tried four times, put aside, and comes back",
    async (sort) => {
      const [bad, next] = [fresh("bad"), fresh("next")];
      poison.set(bad, sort);
      await tell(bad, [1]);
      await tell(next, [1]);
      await hears(next, [1]);
      const letter = await eventually(
        async () =>
          (await contents(deadLetterTopicOf(cell.center, "fulfillment"))).find(({ key }) => key === bad),
        LIVENESS_MS,
      );
      expect(letter.headers).toMatchObject({
        "x-dead-topic": topicOf(cell.center, "orders"),
        "x-dead-reason": expect.stringContaining(sort === "throws" ? "cannot be read" : "does not fit"),
        ce_type: TYPE,
      });
      expect([tries.get(bad), await heard(bad)]).toEqual([4, []]);

      poison.delete(bad);
      const replay = () =>
        replayDeadLetters({ center: cell.center, slice: "fulfillment", kafka, timeoutMs: LIVENESS_MS });
      expect(await replay()).toBe(1);
      await hears(bad, [1]);
      expect(await replay()).toBe(0);
      expect([tries.get(bad), await heard(next)]).toEqual([5, [1]]);
    },
  );

  test("one in a burst that cannot be taken takes nobody with it, and costs no more tries than alone", async () => {
    const names = range(1, 12).map(() => fresh("burst"));
    const bad = fresh("bad");
    poison.set(bad, "refuses");
    await sql.transaction(async (tx) => {
      for (const version of range(1, 3))
        for (const subject of [...names.slice(0, 6), ...(version === 2 ? [bad] : []), ...names.slice(6)])
          await appendEvent(tx, "orders", { type: TYPE, subject, version, data: {} });
    });
    for (const name of names) await hears(name, range(1, 3));
    const letters = async () =>
      (await contents(deadLetterTopicOf(cell.center, "fulfillment"))).filter(({ key }) => key === bad);
    await eventually(async () => (await letters()).length === 1, LIVENESS_MS);
    expect([tries.get(bad), await heard(bad)]).toEqual([4, []]);
    poison.delete(bad);
    await replayDeadLetters({ center: cell.center, slice: "fulfillment", kafka, timeoutMs: LIVENESS_MS });
    await hears(bad, [2]);
  });

  test("what is no event at all is put aside at once and holds up nobody", async () => {
    const [noise, next] = [fresh("noise"), fresh("next")];
    const topic = topicOf(cell.center, "orders");
    await kafka.produce(topic, [{ key: noise, value: "{", headers: { "content-type": "text/plain" } }]);
    await tell(next, [1]);
    await hears(next, [1]);
    await eventually(
      async () =>
        (await contents(deadLetterTopicOf(cell.center, "fulfillment"))).find(({ key }) => key === noise),
      LIVENESS_MS,
    );
  });
});

test("cut off from Kafka the siblings are told directly; back again it is Kafka; nothing is lost or comes twice", async () => {
  const name = fresh("cut");
  await tell(name, [1, 2, 3]);
  await hears(name, [1, 2, 3]);
  expect(await sent("bypass")).toBe(0);
  cut();
  await tell(name, [4, 5]);
  await hears(name, range(1, 5));
  await tell(name, [6, 7]);
  await hears(name, range(1, 7));
  expect(await sent("bypass")).toBe(4);
  expect(await waiting()).toBe(0);

  line.isCut = false;
  const before = await sent("kafka");
  let version = 7;
  await eventually(
    async () => {
      await tell(name, [++version]);
      return (await sent("kafka")) > before;
    },
    LIVENESS_MS,
    500,
  );
  await hears(name, range(1, version));
  // Whatever Kafka may still have had from before the cut has been heard by now, too.
  await tell(name, [version + 1]);
  await hears(name, range(1, version + 1));
});

test("what nobody needs any more is swept all at once, bite by bite, and not at one bite a minute", async () => {
  await cell.stopSlice("orders");
  const rows = "generate_series(1, 2500) AS n";
  await cell.sql.query(
    `INSERT INTO orders.inbox (consumer, event_id, seen_at) SELECT 'old', n::TEXT, now() - INTERVAL '20 days' FROM ${rows}`,
  );
  await cell.sql.query(
    `INSERT INTO orders.idempotency (scope, key, body_hash, state, owner, lease_until, created_at)
     SELECT 'old', n::TEXT, '', 'done', '', now(), now() - INTERVAL '40 days' FROM ${rows}`,
  );
  await cell.sql.query(
    `INSERT INTO orders.saga (id, name, state, position, direction, owner, lease_until)
     SELECT n::TEXT, 'old', '{}', 0, 'done', '', now() - INTERVAL '40 days' FROM ${rows}`,
  );
  await cell.startSlice("orders");
  const left = () =>
    Promise.all(
      ["inbox", "idempotency", "saga"].map(
        async (table) => (await cell.sql.query(`SELECT 1 FROM orders.${table} LIMIT 1`)).length,
      ),
    );
  // Well below the minute between two rounds.
  await eventually(async () => (await left()).every((count) => count === 0), 30_000);
});
