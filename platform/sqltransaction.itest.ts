import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";
import type { Sql } from "./sql.ts";
import { Fenced, isDatabaseAway, sqlState } from "./sqlstate.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

let shard: TestShard;
let sql: Sql;
beforeAll(async () => {
  shard = await createTestShard(5);
  sql = shard.as("orders");
  await shard.admin.query(
    "CREATE TABLE orders.note (n INT8 PRIMARY KEY, at INT8 GENERATED ALWAYS AS IDENTITY, CHECK (n >= 0))",
  );
  await shard.admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON orders.note TO orders");
});
afterAll(() => shard.drop());
beforeEach(() => shard.admin.query("DELETE FROM orders.note"));

const INSERT = "INSERT INTO orders.note (n) VALUES ($1)";
const notes = async () =>
  (await shard.admin.query<{ n: number }>("SELECT n FROM orders.note ORDER BY at")).map(({ n }) => n);
const caught = (work: Promise<unknown>) => work.catch((error: unknown) => error);
/** One connection, so that what it has prepared can be asked of it. */
const single = () => shard.as("orders", { max: 1, metrics: createMetrics({ service: "single" }) });

describe("statements that are asked for without waiting", () => {
  test("are carried out in the order in which they were asked for", async () => {
    const order = Array.from({ length: 40 }, (_, n) => (n * 7) % 40);
    const seen = await sql.transaction(async (tx) => {
      const writing = order.map((n) => tx.query(INSERT, [n]));
      const [counted] = await Promise.all([
        tx.query("SELECT count(*)::INT8 AS count FROM orders.note"),
        ...writing,
      ]);
      return counted;
    });
    expect(seen).toEqual([{ count: 40 }]);
    expect(await notes()).toEqual(order);
  });

  test("are not sent once the transaction is over: its connection is another's by then", async () => {
    let late: Promise<unknown> | undefined;
    const error = await caught(
      sql.transaction((tx) => {
        late = tx.query("SELECT 1").then(async () => {
          await new Promise((resolve) => setTimeout(resolve, 100));
          await tx.query(INSERT, [9]);
        });
        return Promise.all([tx.query(INSERT, [-1]), late]);
      }),
    );
    expect(sqlState(error)).toBe("23514");
    await expect(late).rejects.toThrow("after the end of its transaction");
    expect(await notes()).toEqual([]);
  });

  test("fail with the first that fails, and nothing of any is there", async () => {
    const error = await caught(
      sql.transaction((tx) => Promise.all([5, 6, -1, 7, 8].map((n) => tx.query(INSERT, [n])))),
    );
    expect(sqlState(error)).toBe("23514");
    // Also when the failure takes longer to be heard than those of its followers.
    const roundabout = await caught(
      sql.transaction(async (tx) => {
        const slow = tx.query(INSERT, [-1]).catch(async (failure: unknown) => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          throw failure;
        });
        await Promise.all([slow, tx.query(INSERT, [7]), tx.query(INSERT, [8])]);
      }),
    );
    expect(sqlState(roundabout)).toBe("23514");
    expect(await notes()).toEqual([]);
    // The connection they went over is as good as before.
    await sql.transaction((tx) => tx.query(INSERT, [9]));
    expect(await notes()).toEqual([9]);
  });

  test("that nobody waited for are written before the end, or the end is a failure", async () => {
    await sql.transaction(async (tx) => {
      void tx.query(INSERT, [1]);
      await tx.query("SELECT 1");
    });
    expect(await notes()).toEqual([1]);
    const passedOver = sql.transaction(async (tx) => {
      await tx.query(INSERT, [2]);
      await tx.query(INSERT, [2]).catch(() => undefined);
    });
    await expect(passedOver).rejects.toThrow("passed over");
    expect(await notes()).toEqual([1]);
  });
});

test("a copy that was replaced is told so, and not what it looked for on the way", async () => {
  const error = await caught(sql.withEpoch(4).transaction((tx) => tx.query("SELECT n FROM orders.note")));
  expect(error).toBeInstanceOf(Fenced);
  const seen: unknown[] = [];
  const both = sql.withEpoch(4).transaction(async (tx) => {
    const looking = tx.query("SELECT 1 AS one").then((rows) => seen.push(rows));
    await Promise.all([looking, tx.query(INSERT, [3])]);
  });
  await expect(both).rejects.toBeInstanceOf(Fenced);
  expect([seen, await notes()]).toEqual([[], []]);
});

test("a statement with values is prepared once on a connection, one without is not", async () => {
  const one = single();
  for (const n of [1, 2, 3]) await one.query(INSERT, [n]);
  await one.transaction((tx) => Promise.all([tx.query(INSERT, [4]), tx.query(INSERT, [5])]));
  await one.query("SELECT 4");
  const held = await one.query<{ statement: string }>("SELECT statement FROM pg_prepared_statements");
  expect(held.map(({ statement }) => statement)).toEqual([INSERT]);
  expect(await notes()).toEqual([1, 2, 3, 4, 5]);
  // One that was prepared in a transaction that is undone stays prepared; one that could not be parsed there does not.
  const broken = one.transaction((tx) =>
    Promise.all([tx.query(INSERT, [-1]), tx.query("SELECT n FROM orders.note WHERE n = $1", [1])]),
  );
  expect(sqlState(await caught(broken))).toBe("23514");
  expect(await one.query("SELECT n FROM orders.note WHERE n = $1", [2])).toEqual([{ n: 2 }]);
});

test("a connection that the server ended while this process did not look is the database's being away", async () => {
  const asleep = await caught(
    sql.transaction(async (tx) => {
      await tx.query(INSERT, [1]);
      // Longer than the server lets a session be idle inside a transaction; the process can do nothing meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
      await tx.query(INSERT, [2]);
    }),
  );
  expect(isDatabaseAway(asleep), String(asleep)).toBe(true);
  expect(await notes()).toEqual([]);
});

test.each(["write EPIPE", "read ECONNRESET", "connect ETIMEDOUT 127.0.0.1:1"])(
  "%s of a socket is the database's being away, and no state of its own",
  (message) => {
    const code = /E[A-Z]+/.exec(message)?.[0];
    const error = Object.assign(new Error(message), { code, syscall: "write", errno: -32 });
    expect([sqlState(error), isDatabaseAway(error)]).toEqual([undefined, true]);
  },
);
