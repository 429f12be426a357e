import { randomUUID } from "node:crypto";
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
  /** What the balance says. */
  readonly is_on_hand: number;
  readonly is_allocated: number;
  readonly is_damaged: number;
  readonly version: number;
}

export interface Reconciled {
  readonly checked: number;
  readonly drifts: readonly Drift[];
  /** Where the next page begins; empty after the last one. */
  readonly next: string;
}

/** Movements that no checkpoint covers; an index range for each SKU. */
const NEWER = `(
  SELECT k.sku, coalesce(max(c.version), -1) AS version
  FROM unnest($1::TEXT[]) AS k (sku) LEFT JOIN inventory.checkpoint c ON c.sku = k.sku GROUP BY k.sku
) AS since JOIN inventory.movement m ON m.sku = since.sku AND m.version > since.version`;

const FOLD_ALL = `
  SELECT sku, bin_id, on_hand_delta AS h, allocated_delta AS a, damaged_delta AS d
  FROM inventory.movement WHERE sku = ANY($1::TEXT[])`;

const FOLD_SINCE_CHECKPOINT = `
  SELECT m.sku, m.bin_id, m.on_hand_delta AS h, m.allocated_delta AS a, m.damaged_delta AS d FROM ${NEWER}
  UNION ALL
  SELECT sku, bin_id, on_hand, allocated, damaged FROM inventory.checkpoint WHERE sku = ANY($1::TEXT[])`;

function driftQuery(fold: string): string {
  return `
  SELECT sku, bin_id, (f_h - b_h)::INT8 AS on_hand, (f_a - b_a)::INT8 AS allocated, (f_d - b_d)::INT8 AS damaged,
    (o_a - b_a)::INT8 AS open, v::INT8 AS version, b_h::INT8 AS is_on_hand, b_a::INT8 AS is_allocated,
    b_d::INT8 AS is_damaged
  FROM (
    SELECT sku, bin_id, sum(f_h) AS f_h, sum(f_a) AS f_a, sum(f_d) AS f_d, sum(o_a) AS o_a,
      sum(b_h) AS b_h, sum(b_a) AS b_a, sum(b_d) AS b_d, sum(v) AS v
    FROM (
      SELECT sku, bin_id, h AS f_h, a AS f_a, d AS f_d, 0 AS o_a, 0 AS b_h, 0 AS b_a, 0 AS b_d, 0 AS v
      FROM (${fold}) AS folded
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
}

/** Compares the balances of some SKUs with the fold of all their movements, and with their open allocations. */
export async function findDrift(sql: Tx, skus: readonly string[]): Promise<Drift[]> {
  return await sql.query<Drift>(driftQuery(FOLD_ALL), [skus]);
}

/** One page of a walk through all SKUs, from their checkpoints on; start with an empty `after`. Moves sound checkpoints on. */
export async function reconcilePage(sql: Sql, after: string, limit: number): Promise<Reconciled> {
  const rows = await sql.query<{ sku: string }>(
    "SELECT sku FROM inventory.sku WHERE sku > $1 ORDER BY sku LIMIT $2",
    [after, limit],
  );
  const skus = rows.map((row) => row.sku);
  if (skus.length === 0) return { checked: 0, drifts: [], next: "" };
  const drifts = await sql.query<Drift>(driftQuery(FOLD_SINCE_CHECKPOINT), [skus]);
  const drifted = new Set(drifts.map((drift) => drift.sku));
  await moveCheckpoints(
    sql,
    skus.filter((sku) => !drifted.has(sku)),
  );
  return { checked: skus.length, drifts, next: skus.length < limit ? "" : (skus.at(-1) ?? "") };
}

/** Movements since the last checkpoint that make another one worth its write. */
export const CHECKPOINT_EVERY = 500;

async function moveCheckpoints(sql: Sql, skus: readonly string[]): Promise<void> {
  await sql.transaction(async (tx) => {
    await tx.query(
      `INSERT INTO inventory.checkpoint (sku, bin_id, version, on_hand, allocated, damaged)
       SELECT folded.sku, folded.bin_id, due.version, sum(folded.h), sum(folded.a), sum(folded.d)
       FROM (${FOLD_SINCE_CHECKPOINT}) AS folded
       JOIN (SELECT m.sku, max(m.version) AS version FROM ${NEWER} GROUP BY m.sku HAVING count(*) >= $2) AS due
         ON due.sku = folded.sku
       GROUP BY folded.sku, folded.bin_id, due.version
       ON CONFLICT (sku, bin_id) DO UPDATE SET version = excluded.version, on_hand = excluded.on_hand,
         allocated = excluded.allocated, damaged = excluded.damaged`,
      [skus, CHECKPOINT_EVERY],
    );
  });
}

/**
 * Brings drifted balances back to what their movements say, and writes down what was done. Where the movements themselves know of
 * fewer or more allocated units than are open, a correction movement joins them: pickers work by the open lines. Returns the
 * drifts that were repaired; a row that changed meanwhile, or that would not be lawful, is left for the next look.
 */
export async function repairDrift(sql: Sql, skus: readonly string[]): Promise<Drift[]> {
  return await sql.transaction(async (tx) => {
    const repaired: Drift[] = [];
    for (const drift of await findDrift(tx, skus)) if (await repairOne(tx, drift)) repaired.push(drift);
    return repaired;
  });
}

async function repairOne(tx: Tx, drift: Drift): Promise<boolean> {
  await tx.query(
    `INSERT INTO inventory.balance (sku, bin_id)
     SELECT k.sku, b.bin_id FROM inventory.sku k, inventory.bin b WHERE k.sku = $1 AND b.bin_id = $2
     ON CONFLICT (sku, bin_id) DO NOTHING`,
    [drift.sku, drift.bin_id],
  );
  const changed = await tx.query(
    `UPDATE inventory.balance SET on_hand = on_hand + $3::INT8, allocated = allocated + $4::INT8,
       damaged = damaged + $5::INT8, version = version + 1
     WHERE sku = $1 AND bin_id = $2 AND version = $6 AND on_hand + $3::INT8 >= 0 AND allocated + $4::INT8 >= 0
       AND damaged + $5::INT8 >= 0 AND allocated + $4::INT8 + damaged + $5::INT8 <= on_hand + $3::INT8
     RETURNING sku`,
    [drift.sku, drift.bin_id, drift.on_hand, drift.open, drift.damaged, drift.version],
  );
  if (changed.length === 0) return false;
  if (drift.on_hand !== 0 || drift.allocated !== 0 || drift.damaged !== 0)
    await tx.query(
      `INSERT INTO inventory.repair (sku, bin_id, on_hand_delta, allocated_delta, damaged_delta)
       VALUES ($1, $2, $3, $4, $5)`,
      [drift.sku, drift.bin_id, drift.on_hand, drift.allocated, drift.damaged],
    );
  const unbooked = drift.open - drift.allocated;
  if (unbooked !== 0)
    await tx.query(
      `INSERT INTO inventory.movement (sku, bin_id, version, ordinal, kind, command_id, actor, on_hand_delta,
         allocated_delta, damaged_delta)
       SELECT $1, $2, sum(version), 0, 'repair', $4, 'system:reconcile', 0, $3, 0
       FROM inventory.balance WHERE sku = $1`,
      [drift.sku, drift.bin_id, unbooked, `repair:${randomUUID()}`],
    );
  await mirrorAgain(tx, drift.sku);
  return true;
}

/** Has the hold store told about a SKU whose version has just grown. */
async function mirrorAgain(tx: Tx, sku: string): Promise<void> {
  await tx.query(
    `INSERT INTO inventory.mirror_due (sku, version)
     SELECT sku, sum(version) FROM inventory.balance WHERE sku = $1 GROUP BY sku
     ON CONFLICT (sku) DO UPDATE SET version = excluded.version, due_at = now()`,
    [sku],
  );
}

/** Gives SKUs a newer version without any other change: the mirror takes a value of a version that it has as the truth. */
export async function raiseVersions(sql: Sql, skus: readonly string[]): Promise<void> {
  await sql.transaction(async (tx) => {
    for (const sku of skus) {
      await tx.query(
        `UPDATE inventory.balance SET version = version + 1
         WHERE sku = $1 AND bin_id = (SELECT min(bin_id) FROM inventory.balance WHERE sku = $1)`,
        [sku],
      );
      await mirrorAgain(tx, sku);
    }
  });
}
