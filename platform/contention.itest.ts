import { afterAll, beforeAll, expect, test } from "vitest";
import type { Sql } from "./sql.ts";
import { createTestShard, type TestShard } from "./testing/shard.ts";

const WORKERS = 24;
const EACH = 10;

let shard: TestShard;
let sql: Sql;
beforeAll(async () => {
  shard = await createTestShard(5);
  sql = shard.as("orders");
  await shard.admin.query("CREATE TABLE orders.crowd (id UUID PRIMARY KEY DEFAULT gen_random_uuid())");
  await shard.admin.query("GRANT SELECT, INSERT ON orders.crowd TO orders");
});
afterAll(() => shard.drop());

test("a crowd in which each one is in the way of every other gets through, and wastes little", async () => {
  let begun = 0;
  const worker = async () => {
    for (let round = 0; round < EACH; round++)
      await sql.transaction(async (tx) => {
        begun++;
        // What each reads, all the others add to: of those that run at once, one is written.
        await tx.query("SELECT count(*) FROM orders.crowd");
        await tx.query("INSERT INTO orders.crowd DEFAULT VALUES");
      });
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  const done = WORKERS * EACH;
  const [row] = await sql.query<{ written: number }>("SELECT count(*) AS written FROM orders.crowd");
  expect(row?.written).toBe(done);
  expect(begun).toBeLessThan(2 * done);
});
