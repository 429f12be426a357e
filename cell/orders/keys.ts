import type { Tx } from "../../platform/sql.ts";

/**
 * Closes a key: no order will be made under it here. Answers the order that is there already, which closing cannot undo. At
 * SERIALIZABLE one of the two comes first, the order or the closing, and the other one sees it.
 */
export async function closeKey(tx: Tx, sub: string, key: string): Promise<{ readonly orderId?: string }> {
  const rows = await tx.query<{ id: string }>(
    "SELECT id FROM orders.orders WHERE sub = $1 AND idempotency_key = $2",
    [sub, key],
  );
  if (rows[0]) return { orderId: rows[0].id };
  await tx.query(
    "INSERT INTO orders.closed_key (sub, key) VALUES ($1, $2) ON CONFLICT (sub, key) DO NOTHING",
    [sub, key],
  );
  return {};
}

export async function isClosed(tx: Tx, sub: string, key: string): Promise<boolean> {
  const rows = await tx.query("SELECT key FROM orders.closed_key WHERE sub = $1 AND key = $2", [sub, key]);
  return rows.length > 0;
}

/** Forgets closed keys after as long as the gateway keeps its pins; at most `limit`. Answers how many. */
export async function sweepClosedKeys(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.query(
    `DELETE FROM orders.closed_key WHERE (sub, key) IN (SELECT sub, key FROM orders.closed_key
       WHERE closed_at < now() - INTERVAL '7 days' ORDER BY closed_at LIMIT $1) RETURNING key`,
    [limit],
  );
  return rows.length;
}
