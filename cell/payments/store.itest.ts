import { afterAll, beforeAll, expect, test } from "vitest";
import type { Tx } from "../../platform/sql.ts";
import { createTestShard, type TestShard } from "../../platform/testing/shard.ts";
import { claimOperation, endOperation, insertOperation, postponeOperation } from "./store.ts";

let shard: TestShard;
beforeAll(async () => {
  shard = await createTestShard(5);
  await shard.admin.query(
    `INSERT INTO payments.operation (operation_id, intent_id, kind, amount_minor, state)
     SELECT 'op-' || n, 'int-' || n, 'authorize', 1, 'done' FROM generate_series(1, 2000) AS n`,
  );
  await shard.admin.query("ANALYZE payments.operation");
});
afterAll(() => shard.drop());

test("an operation is found by its id, never among all that are pending", async () => {
  const sql = shard.as("payments");
  const plans: string[] = [];
  const explained: Tx = {
    async query<R>(text: string, values?: readonly unknown[]) {
      const lines = await sql.query<{ "QUERY PLAN": string }>(`EXPLAIN ${text}`, values);
      plans.push(lines.map((line) => line["QUERY PLAN"]).join("\n"));
      return lines.slice(0, 0) as R[];
    },
  };
  await claimOperation(explained, "op-7");
  await postponeOperation(explained, "op-7", 1_000, "no answer");
  await endOperation(explained, "op-7", "done");
  expect(plans).toHaveLength(3);
  for (const plan of plans) expect(plan).toContain("using operation_pkey");
});

test("an operation that is taken, put off and ended is so by its state alone", async () => {
  const sql = shard.as("payments");
  await insertOperation(sql, { id: "own", intentId: "int", kind: "capture", amountMinor: 5 });
  expect(await claimOperation(sql, "own")).toMatchObject({ state: "pending", attempts: 1 });
  await postponeOperation(sql, "own", 0, "no answer");
  expect(await claimOperation(sql, "own")).toMatchObject({ attempts: 2 });
  expect(await endOperation(sql, "own", "done")).toBe(true);
  expect(await endOperation(sql, "own", "refused")).toBe(false);
  expect(await claimOperation(sql, "own")).toBeUndefined();
});
