import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { raiseEpoch } from "./provision.ts";
import { createSql, parseDatabaseUrl, type Sql } from "./sql.ts";
import { startTestCell, type TestCell } from "./testing/cell.ts";

/** Staggered, and without a pause between: somebody holds the row for share at every moment. */
const WRITERS = 4;
const HELD_SECONDS = 0.4;

let cell: TestCell;
const writers: Sql[] = [];
beforeAll(async () => {
  cell = await startTestCell({ slices: [] });
});
afterAll(async () => {
  await Promise.all(writers.map((writer) => writer.close()));
  await cell?.stop();
});

function writerOfEpoch(epoch: number): Sql {
  const server = parseDatabaseUrl(process.env.TEST_DATABASE_URL ?? "");
  const sql = createSql({
    ...server,
    database: cell.env.DATABASE_NAME ?? "",
    user: "orders",
    password: cell.env.DATABASE_PASSWORD_ORDERS ?? "",
    applicationName: "test",
    log: silentLogger(),
    metrics: createMetrics({ service: "test" }),
    max: 1,
    epoch,
  });
  writers.push(sql);
  return sql;
}

test("a higher epoch comes into force although writers never leave the lease alone, and the same one waits for nobody", async () => {
  let stopped = false;
  let held = 0;
  const write = async (sql: Sql, index: number) => {
    await new Promise((resolve) => setTimeout(resolve, (index * HELD_SECONDS * 1_000) / WRITERS));
    while (!stopped) {
      await sql.transaction((tx) => tx.query("SELECT pg_sleep($1)", [HELD_SECONDS]));
      held++;
    }
  };
  const ends = Array.from({ length: WRITERS }, (_, index) =>
    write(writerOfEpoch(1), index).then(
      () => "went on",
      (error: Error) => error.constructor.name,
    ),
  );
  try {
    while (held < WRITERS) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await raiseEpoch(cell.sql, 1)).toBe(1);
    expect(await raiseEpoch(cell.sql, 2)).toBe(2);
    // Ended with their session or refused by their epoch: none of them writes any more.
    for (const end of await Promise.all(ends)) expect(end).not.toBe("went on");
    expect(await raiseEpoch(cell.sql, 1)).toBe(2);
  } finally {
    stopped = true;
    await Promise.all(ends);
  }
});
