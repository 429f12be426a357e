import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freePorts } from "../local/ports.ts";
import { createLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import type { Sql } from "./sql.ts";
import { Contended, Fenced, isDatabaseAway, sqlState } from "./sqlstate.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

let shard: TestShard;
let sql: Sql;
beforeAll(async () => {
  shard = await createTestShard(5);
  sql = shard.as("orders");
  await shard.admin.query("CREATE TABLE orders.tally (id INT8 PRIMARY KEY, n INT8 NOT NULL CHECK (n >= 0))");
  await shard.admin.query("GRANT SELECT, INSERT, UPDATE, DELETE ON orders.tally TO orders");
});
afterAll(() => shard.drop());
beforeEach(async () => {
  await shard.admin.query("DELETE FROM orders.tally");
  await shard.admin.query("INSERT INTO orders.tally VALUES (1, 0), (2, 0)");
  await shard.admin.query("UPDATE cell.lease SET epoch = 5");
});

const tally = async (id = 1) =>
  (await sql.query<{ n: number }>("SELECT n FROM orders.tally WHERE id = $1", [id]))[0]?.n;
/** A gate that the test opens. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe("conflicts", () => {
  test("transactions that read and write one row are repeated until none is lost", async () => {
    let runs = 0;
    await Promise.all(
      Array.from({ length: 8 }, () =>
        sql.transaction(
          async (tx) => {
            runs++;
            const [row] = await tx.query<{ n: number }>("SELECT n FROM orders.tally WHERE id = 1");
            await tx.query("UPDATE orders.tally SET n = $1 WHERE id = 1", [(row?.n ?? 0) + 1]);
          },
          { attempts: 100 },
        ),
      ),
    );
    expect(await tally()).toBe(8);
    expect(runs).toBeGreaterThan(8);
  });

  test("what each of two may do alone, but not both, is done by one (write skew)", async () => {
    const both = gate();
    let reading = 0;
    // Two processes: in one of them, one that met others runs alone.
    const take = (own: number) =>
      shard.as("orders").transaction(async (tx) => {
        const rows = await tx.query<{ n: number }>("SELECT n FROM orders.tally");
        if (++reading === 2) both.open();
        if (reading <= 2) await both.opened;
        if (rows.some(({ n }) => n > 0)) return "refused";
        await tx.query("UPDATE orders.tally SET n = 1 WHERE id = $1", [own]);
        return "taken";
      });
    expect((await Promise.all([take(1), take(2)])).sort()).toEqual(["refused", "taken"]);
  });

  test("a deadlock is repeated too", async () => {
    const both = gate();
    let locked = 0;
    const move = (first: number, second: number) =>
      shard.as("orders").transaction(async (tx) => {
        await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = $1", [first]);
        if (++locked === 2) both.open();
        if (locked <= 2) await both.opened;
        await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = $1", [second]);
      });
    await Promise.all([move(1, 2), move(2, 1)]);
    expect([await tally(1), await tally(2)]).toEqual([2, 2]);
  });

  test("it gives up after so many attempts and has done nothing", async () => {
    let runs = 0;
    const losing = sql.transaction(
      async (tx) => {
        runs++;
        await tx.query("SELECT n FROM orders.tally WHERE id = 1");
        await shard.admin.query("UPDATE orders.tally SET n = n + 100 WHERE id = 1");
        await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = 1");
      },
      { attempts: 3 },
    );
    await expect(losing).rejects.toBeInstanceOf(Contended);
    expect(runs).toBe(3);
    expect(await tally()).toBe(300);
  });

  test("any other error ends it at once, and what it wrote is gone", async () => {
    let runs = 0;
    const broken = sql.transaction(async (tx) => {
      runs++;
      await tx.query("UPDATE orders.tally SET n = 7 WHERE id = 1");
      await tx.query("UPDATE orders.tally SET n = -1 WHERE id = 2");
    });
    await expect(broken).rejects.toSatisfy((error) => sqlState(error) === "23514");
    expect(runs).toBe(1);
    expect(await tally()).toBe(0);
  });
});

describe("the epoch", () => {
  const write = (by: Sql) =>
    by.transaction((tx) => tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = 1"));

  test.each([
    ["an older copy", 4, true],
    ["a copy that is ahead of the lease", 6, false],
  ])("%s writes nothing", async (_name, epoch, superseded) => {
    const error = await write(sql.withEpoch(epoch)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Fenced);
    expect((error as Fenced).superseded).toBe(superseded);
    expect(await tally()).toBe(0);
  });

  test("a shard without a lease lets nobody write", async () => {
    await shard.admin.query("DELETE FROM cell.lease");
    try {
      await expect(write(sql)).rejects.toMatchObject({ superseded: false });
    } finally {
      await shard.admin.query("INSERT INTO cell.lease (id, epoch) VALUES (1, 5)");
    }
  });

  test("raising it waits for a writer that is under way; the next write of the old copy is refused", async () => {
    const inside = gate();
    const goOn = gate();
    const writing = sql.transaction(async (tx) => {
      await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = 1");
      inside.open();
      await goOn.opened;
    });
    await inside.opened;
    let raised = false;
    const raising = shard.admin.query("UPDATE cell.lease SET epoch = 6").then(() => {
      raised = true;
    });
    // The writer holds the row for share: that the other one waits for it is in the database's own books.
    await expect
      .poll(
        async () =>
          (
            await shard.admin.query(
              "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%cell.lease%' AND datname = current_database()",
            )
          ).length,
      )
      .toBe(1);
    expect(raised).toBe(false);
    goOn.open();
    await writing;
    await raising;
    expect(await tally()).toBe(1);
    await expect(write(sql)).rejects.toBeInstanceOf(Fenced);
    expect(await tally()).toBe(1);
  });

  test("a writer that is paused inside its transaction loses it, and the epoch rises without it", async () => {
    const inside = gate();
    const goOn = gate();
    const paused = sql.transaction(async (tx) => {
      await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = 1");
      inside.open();
      await goOn.opened;
      await tx.query("UPDATE orders.tally SET n = n + 1 WHERE id = 2");
    });
    await inside.opened;
    await shard.admin.query("UPDATE cell.lease SET epoch = 6");
    goOn.open();
    const error = await paused.catch((thrown: unknown) => thrown);
    expect(isDatabaseAway(error), String(error)).toBe(true);
    expect([await tally(1), await tally(2)]).toEqual([0, 0]);
  });
});

describe("values", () => {
  test("INT8 is a number and never a wrong one; other types are pg's", async () => {
    const [row] = await sql.query(
      "SELECT 9007199254740991::INT8 AS big, 1.5::NUMERIC AS n, '{\"a\":1}'::JSONB AS j",
    );
    expect(row).toEqual({ big: Number.MAX_SAFE_INTEGER, n: "1.5", j: { a: 1 } });
    await expect(sql.query("SELECT 9007199254740992::INT8 AS big")).rejects.toThrow("safe");
  });
});

describe("the database is away", () => {
  const open = (port: number, database = shard.name) =>
    shard.as("orders", { port, database, log: createLogger({ service: "test", level: "silent" }) });

  test("nobody listens", async () => {
    const [port = 0] = await freePorts(1);
    const error = await open(port)
      .query("SELECT 1")
      .catch((thrown: unknown) => thrown);
    expect(isDatabaseAway(error)).toBe(true);
  });

  test("a session that is ended while idle or in use costs one error and nothing else", async () => {
    const end = () =>
      shard.admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orders' AND datname = current_database()",
      );
    await sql.query("SELECT 1");
    await end();
    await expect
      .poll(() =>
        sql.query("SELECT 1").then(
          () => "works",
          () => "fails",
        ),
      )
      .toBe("works");
    const error = await sql
      .transaction(async (tx) => {
        await tx.query("UPDATE orders.tally SET n = 9 WHERE id = 1");
        await end();
        await tx.query("SELECT 1");
      })
      .catch((thrown: unknown) => thrown);
    expect(isDatabaseAway(error), String(error)).toBe(true);
    await expect.poll(() => tally().catch(() => undefined)).toBe(0);
  });

  test.each(["42P01", "23505", "22P02"])("%s is somebody's bug", (code) => {
    expect(isDatabaseAway(Object.assign(new Error("x"), { code }))).toBe(false);
  });
});

test("a statement that takes too long is ended", async () => {
  const impatient = shard.as("orders", { statementTimeoutMs: 200 });
  await expect(impatient.query("SELECT pg_sleep(30)")).rejects.toSatisfy(
    (error) => sqlState(error) === "57014",
  );
});

test("no more connections than allowed, and the rest wait their turn", async () => {
  const small = createSqlOfOne();
  const order: number[] = [];
  await Promise.all(
    [1, 2, 3].map((n) =>
      small.transaction(async (tx) => {
        order.push(n);
        await tx.query("SELECT pg_sleep(0.02)");
        order.push(n);
      }),
    ),
  );
  expect(order).toEqual([1, 1, 2, 2, 3, 3]);
});

function createSqlOfOne(): Sql {
  return shard.as("orders", { max: 1, metrics: createMetrics({ service: "small" }) });
}

test("who waits for marks hears of what was committed, once, and of nothing else", async () => {
  const heard: string[][] = [];
  const stop = sql.onCommit((marks) => heard.push([...marks].sort()));
  let tries = 0;
  await sql.transaction(async (tx) => {
    tx.mark?.("mail");
    tx.mark?.("outbox");
    tx.mark?.("outbox");
    await tx.query("SELECT 1");
    if (++tries === 1) throw Object.assign(new Error("met another"), { code: "40001" });
  });
  const undone = sql.transaction(async (tx) => {
    tx.mark?.("outbox");
    throw new Error("no");
  });
  await expect(undone).rejects.toThrow("no");
  await sql.transaction((tx) => tx.query("SELECT 1"));
  stop();
  await sql.transaction(async (tx) => tx.mark?.("late"));
  expect(tries).toBe(2);
  expect(heard).toEqual([["mail", "outbox"]]);
});
