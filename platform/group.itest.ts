import { afterAll, beforeAll, expect, test } from "vitest";
import { createGroup } from "./group.ts";
import type { Sql } from "./sql.ts";
import { Contended, Fenced } from "./sqlstate.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

let shard: TestShard;
let sql: Sql;
beforeAll(async () => {
  shard = await createTestShard(1);
  sql = shard.as("orders");
  await shard.admin.query("CREATE TABLE orders.job_of_test (what TEXT PRIMARY KEY, batch INT8 NOT NULL)");
  await shard.admin.query("GRANT SELECT, INSERT ON orders.job_of_test TO orders");
});
afterAll(() => shard.drop());

const written = async (like: string) =>
  shard.admin.query<{ what: string; batch: number }>(
    "SELECT what, batch FROM orders.job_of_test WHERE what LIKE $1 ORDER BY what",
    [like],
  );

/** Writes each job with the number of its batch, all in one statement, and answers it in capitals. */
function groupOf(own: Sql = sql, limits: { max?: number; maxWaiting?: number; retryAlone?: boolean } = {}) {
  let batch = 0;
  return createGroup<string, string>({
    sql: own,
    ...limits,
    async run(tx, jobs) {
      batch++;
      await tx.query(
        "INSERT INTO orders.job_of_test (what, batch) SELECT w, $2::INT8 FROM unnest($1::TEXT[]) AS n (w)",
        [jobs, batch],
      );
      return jobs.map((job) => job.toUpperCase());
    },
  });
}

test("jobs of one turn share a transaction, those that come meanwhile the next", async () => {
  const group = groupOf(sql, { max: 4 });
  const first = ["one-a", "one-b", "one-c", "one-d", "one-e"].map(group);
  expect(await first[0]).toBe("ONE-A");
  const second = ["one-f"].map(group);
  expect(await Promise.all([...first, ...second])).toEqual([
    ...["ONE-A", "ONE-B", "ONE-C", "ONE-D", "ONE-E", "ONE-F"],
  ]);
  const rows = await written("one-%");
  expect(rows.map(({ batch }) => batch).slice(0, 4)).toEqual([1, 1, 1, 1]);
  expect(rows).toHaveLength(6);
  expect(rows[4]?.batch).toBeGreaterThan(1);
});

test("a job that cannot be done fails alone, and nothing of it stays", async () => {
  const group = groupOf();
  await group("two-b");
  const results = await Promise.allSettled(["two-a", "two-b", "two-c"].map(group));
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect((await written("two-%")).map(({ what }) => what)).toEqual(["two-a", "two-b", "two-c"]);
});

test("where callers go on by themselves, all of a batch hear of what could not be done, and nothing of it stays", async () => {
  const group = groupOf(sql, { retryAlone: false });
  await group("five-b");
  const results = await Promise.allSettled(["five-a", "five-b", "five-c"].map(group));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect((await written("five-%")).map(({ what }) => what)).toEqual(["five-b"]);
});

test("a copy that is fenced off is told so at once, for every job", async () => {
  const group = groupOf(sql.withEpoch(7));
  const results = await Promise.allSettled(["three-a", "three-b"].map(group));
  for (const result of results) expect(result.status === "rejected" && result.reason).toBeInstanceOf(Fenced);
  expect(await written("three-%")).toEqual([]);
});

test("no more may wait than allowed", async () => {
  const group = groupOf(sql, { max: 1, maxWaiting: 2 });
  const results = await Promise.allSettled(["four-a", "four-b", "four-c"].map(group));
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
  expect(results[2]?.status === "rejected" && results[2].reason).toBeInstanceOf(Contended);
});
