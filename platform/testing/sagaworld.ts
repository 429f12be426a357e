import type { Sql } from "../sql.ts";
import { createTestShard, type TestShard } from "./shard.ts";

/** A database with sagas of orders, and beside them what they have done to the world outside. */
export interface SagaWorld {
  readonly shard: TestShard;
  readonly sql: Sql;
  /** An effect outside of the saga, idempotent by the saga's id. */
  tell(saga: string, what: string): Promise<unknown>;
  /** What the world has seen of a saga, each thing once, in the order of its first time. */
  seen(saga: string): Promise<string[]>;
}

/** Makes the world; its shard is to be dropped. */
export async function createSagaWorld(): Promise<SagaWorld> {
  const shard = await createTestShard(1);
  await shard.admin.query(
    "CREATE TABLE orders.told (position INT8 GENERATED ALWAYS AS IDENTITY, saga TEXT, what TEXT, UNIQUE (saga, what))",
  );
  await shard.admin.query("GRANT SELECT, INSERT ON orders.told TO orders");
  return {
    shard,
    sql: shard.as("orders"),
    tell: (saga, what) =>
      shard.admin.query("INSERT INTO orders.told (saga, what) VALUES ($1, $2) ON CONFLICT DO NOTHING", [
        saga,
        what,
      ]),
    async seen(saga) {
      const rows = await shard.admin.query<{ what: string }>(
        "SELECT what FROM orders.told WHERE saga = $1 ORDER BY position",
        [saga],
      );
      return rows.map(({ what }) => what);
    },
  };
}
