import type { Sql, Tx } from "../../platform/sql.ts";

/** A bin whose balance is not what its movements, or its open allocations, add up to. */
export interface Drift {
  readonly sku: string;
  readonly bin_id: string;
  /** Ledger minus balance. */
  readonly on_hand: number;
  readonly allocated: number;
  readonly damaged: number;
  /** Open allocation lines minus balance. */
  readonly open: number;
  readonly version: number;
}

export interface Reconciled {
  readonly checked: number;
  readonly drifts: readonly Drift[];
  /** Where the next page begins; empty after the last one. */
  readonly next: string;
}

const FIND_DRIFT = `
  SELECT sku, bin_id, (f_h - b_h)::INT8 AS on_hand, (f_a - b_a)::INT8 AS allocated, (f_d - b_d)::INT8 AS damaged,
    (o_a - b_a)::INT8 AS open, v::INT8 AS version
  FROM (
    SELECT sku, bin_id, sum(f_h) AS f_h, sum(f_a) AS f_a, sum(f_d) AS f_d, sum(o_a) AS o_a,
      sum(b_h) AS b_h, sum(b_a) AS b_a, sum(b_d) AS b_d, sum(v) AS v
    FROM (
      SELECT sku, bin_id, on_hand_delta AS f_h, allocated_delta AS f_a, damaged_delta AS f_d, 0 AS o_a,
        0 AS b_h, 0 AS b_a, 0 AS b_d, 0 AS v
      FROM inventory.movement WHERE sku = ANY($1::TEXT[])
      UNION ALL
      SELECT sku, bin_id, 0, 0, 0, quantity - picked - shorted - released, 0, 0, 0, 0
      FROM inventory.allocation_line WHERE sku = ANY($1::TEXT[]) AND quantity > picked + shorted + released
      UNION ALL
      SELECT sku, bin_id, 0, 0, 0, 0, on_hand, allocated, damaged, version
      FROM inventory.balance WHERE sku = ANY($1::TEXT[])
    ) AS entries GROUP BY sku, bin_id
  ) AS sums
  WHERE f_h <> b_h OR f_a <> b_a OR f_d <> b_d OR o_a <> b_a
  ORDER BY sku, bin_id`;

/** Compares the balances of some SKUs with the fold of their movements and with their open allocations. */
export async function findDrift(sql: Tx, skus: readonly string[]): Promise<Drift[]> {
  return await sql.query<Drift>(FIND_DRIFT, [skus]);
}

/** One page of a walk through all SKUs; start with an empty `after`. */
export async function reconcilePage(sql: Tx, after: string, limit: number): Promise<Reconciled> {
  const rows = await sql.query<{ sku: string }>(
    "SELECT sku FROM inventory.sku WHERE sku > $1 ORDER BY sku LIMIT $2",
    [after, limit],
  );
  const skus = rows.map((row) => row.sku);
  const drifts = skus.length === 0 ? [] : await findDrift(sql, skus);
  return { checked: skus.length, drifts, next: skus.length < limit ? "" : (skus.at(-1) ?? "") };
}

/**
 * Brings drifted balances back to what the ledger says, and writes down what was done. The ledger itself is never touched.
 * Returns the drifts that were repaired; a row that changed meanwhile is left for the next look.
 */
export async function repairDrift(sql: Sql, skus: readonly string[]): Promise<Drift[]> {
  return await sql.transaction(async (tx) => {
    const repaired: Drift[] = [];
    for (const drift of await findDrift(tx, skus)) {
      const changed = await tx.query(
        `UPDATE inventory.balance SET on_hand = on_hand + $3, allocated = allocated + $4, damaged = damaged + $5,
           version = version + 1 WHERE sku = $1 AND bin_id = $2 AND version = $6 RETURNING sku`,
        [drift.sku, drift.bin_id, drift.on_hand, drift.allocated, drift.damaged, drift.version],
      );
      if (changed.length === 0) continue;
      await tx.query(
        `INSERT INTO inventory.repair (sku, bin_id, on_hand_delta, allocated_delta, damaged_delta)
         VALUES ($1, $2, $3, $4, $5)`,
        [drift.sku, drift.bin_id, drift.on_hand, drift.allocated, drift.damaged],
      );
      await tx.query(
        `INSERT INTO inventory.mirror_due (sku, version)
         SELECT sku, sum(version) FROM inventory.balance WHERE sku = $1 GROUP BY sku
         ON CONFLICT (sku) DO UPDATE SET version = excluded.version, due_at = now()`,
        [drift.sku],
      );
      repaired.push(drift);
    }
    return repaired;
  });
}
