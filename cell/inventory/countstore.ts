import type { Sql, Tx } from "../../platform/sql.ts";
import type { Effects, Submitted } from "./batch.ts";
import type { CountBase } from "./commands.ts";
import type { Bin } from "./contract.ts";
import { MAX_REPLAYED } from "./counts.ts";
import { binIdOf, binOf } from "./domain.ts";

/** Reads what count commands are judged by: units on hand now, and what moved since the first version that a line names. */
export async function loadCounts(tx: Tx, commands: readonly Submitted[]): Promise<Map<string, CountBase>> {
  const since = new Map<string, { sku: string; binId: string; version: number }>();
  for (const { command } of commands) {
    if (command.kind !== "count") continue;
    for (const { sku, bin, fromVersion } of command.lines) {
      const binId = binIdOf(bin);
      const key = `${sku} ${binId}`;
      const version = Math.min(fromVersion, since.get(key)?.version ?? fromVersion);
      since.set(key, { sku, binId, version });
    }
  }
  const bases = new Map<string, CountBase>();
  for (const [key, { sku, binId, version }] of since) {
    const [balance] = await tx.query<{ on_hand: number }>(
      "SELECT on_hand FROM inventory.balance WHERE sku = $1 AND bin_id = $2",
      [sku, binId],
    );
    const movements = await tx.query<{ version: number; onHandDelta: number }>(
      `SELECT version, on_hand_delta AS "onHandDelta" FROM inventory.movement
       WHERE sku = $1 AND version > $2 AND bin_id = $3 AND on_hand_delta <> 0
       ORDER BY version, ordinal LIMIT ${MAX_REPLAYED + 1}`,
      [sku, version, binId],
    );
    bases.set(key, { onHand: balance?.on_hand ?? 0, movements });
  }
  return bases;
}

/** Writes down what was counted; a bin that was short or could not be judged is due, one that was counted no longer is. */
export async function writeCounts(tx: Tx, { counts, movements }: Effects): Promise<void> {
  const shorts = movements.filter((move) => move.kind === "short");
  const rows = [
    ...counts.map(({ countId, sku, bin, outcome, difference, applied, actor }) => ({
      ...{ countId, sku, binId: binIdOf(bin), outcome: outcome as string, difference, applied, actor },
    })),
    ...shorts.map(({ commandId, sku, binId, onHandDelta }) => ({
      ...{ countId: `short:${commandId}`, sku, binId, outcome: "short", actor: undefined },
      ...{ difference: onHandDelta, applied: onHandDelta },
    })),
  ];
  if (rows.length === 0) return;
  await tx.query(
    `INSERT INTO inventory.counted (count_id, sku, bin_id, outcome, difference, applied, actor)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::INT8[], $6::INT8[], $7::TEXT[])
     ON CONFLICT (count_id, sku, bin_id) DO NOTHING`,
    [
      rows.map((row) => row.countId),
      rows.map((row) => row.sku),
      rows.map((row) => row.binId),
      rows.map((row) => row.outcome),
      rows.map((row) => row.difference),
      rows.map((row) => row.applied),
      rows.map((row) => row.actor ?? null),
    ],
  );
  const settled = rows.filter((row) => row.outcome !== "short" && row.outcome !== "recount");
  if (settled.length > 0)
    await tx.query(
      `DELETE FROM inventory.count_due
       WHERE (sku, bin_id) IN (SELECT * FROM unnest($1::TEXT[], $2::TEXT[]))`,
      [settled.map((row) => row.sku), settled.map((row) => row.binId)],
    );
  const due = new Map(
    rows
      .filter((row) => row.outcome === "short" || row.outcome === "recount")
      .map((row) => [`${row.sku} ${row.binId}`, row]),
  );
  if (due.size > 0)
    await tx.query(
      `INSERT INTO inventory.count_due (sku, bin_id, reason)
       SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[])
       ON CONFLICT (sku, bin_id) DO UPDATE SET reason = excluded.reason, due_at = now(), checked_at = NULL`,
      [
        [...due.values()].map((row) => row.sku),
        [...due.values()].map((row) => row.binId),
        [...due.values()].map((row) => row.outcome),
      ],
    );
}

/** A bin to be counted. The quantity on the books is not told: who knows it sees it. */
export interface SheetLine {
  readonly sku: string;
  readonly bin: Bin;
  readonly version: number;
  readonly reason?: string;
}

const DUE_SHOWN = 100;

/** Bins that should be counted, those that wait longest first; each with its SKU's version of now. */
export async function readDueCounts(sql: Tx): Promise<SheetLine[]> {
  const rows = await sql.query<{ sku: string; bin_id: string; reason: string; version: number }>(
    `SELECT d.sku, d.bin_id, d.reason,
       (SELECT coalesce(sum(b.version), 0) FROM inventory.balance b WHERE b.sku = d.sku)::INT8 AS version
     FROM inventory.count_due d ORDER BY d.due_at, d.sku, d.bin_id LIMIT ${DUE_SHOWN}`,
  );
  return rows.map(({ sku, bin_id, reason, version }) => ({ sku, bin: binOf(bin_id), version, reason }));
}

/** All bins that ever held some SKUs, each with its SKU's version of now. */
export async function readSheet(sql: Tx, skus: readonly string[]): Promise<SheetLine[]> {
  const rows = await sql.query<{ sku: string; bin_id: string; version: number }>(
    `SELECT b.sku, b.bin_id,
       (SELECT sum(o.version) FROM inventory.balance o WHERE o.sku = b.sku)::INT8 AS version
     FROM inventory.balance b WHERE b.sku = ANY($1::TEXT[]) ORDER BY b.sku, b.bin_id`,
    [skus],
  );
  return rows.map(({ sku, bin_id, version }) => ({ sku, bin: binOf(bin_id), version }));
}

/** SKUs of short picks whose books nobody has compared since; `dueAt` tells a later short from this one. */
export async function readUnchecked(sql: Tx, limit: number): Promise<{ sku: string; dueAt: Date }[]> {
  return await sql.query<{ sku: string; dueAt: Date }>(
    `SELECT sku, max(due_at) AS "dueAt" FROM inventory.count_due WHERE checked_at IS NULL
     GROUP BY sku ORDER BY sku LIMIT $1`,
    [limit],
  );
}

/** Says that the books of SKUs were compared after these shorts. */
export async function markChecked(sql: Sql, checked: readonly { sku: string; dueAt: Date }[]): Promise<void> {
  await sql.transaction((tx) =>
    tx.query(
      `UPDATE inventory.count_due SET checked_at = now()
       FROM unnest($1::TEXT[], $2::TIMESTAMPTZ[]) AS n (s, d)
       WHERE sku = n.s AND checked_at IS NULL AND due_at < n.d + INTERVAL '1 millisecond'`,
      [checked.map((row) => row.sku), checked.map((row) => row.dueAt.toISOString())],
    ),
  );
}

/** Days over which accuracy is told. */
const ACCURACY_DAYS = 7;

/** Of the bins that were counted or found short lately, how many were as the books said. */
export async function readAccuracy(sql: Tx): Promise<{ matched: number; judged: number; due: number }> {
  const [row] = await sql.query<{ matched: number; judged: number; due: number }>(
    `SELECT coalesce(sum(CASE WHEN outcome = 'matched' THEN 1 ELSE 0 END), 0)::INT8 AS matched,
       count(*)::INT8 AS judged, (SELECT count(*) FROM inventory.count_due)::INT8 AS due
     FROM inventory.counted
     WHERE created_at > now() - INTERVAL '${ACCURACY_DAYS} days' AND outcome <> 'recount'`,
  );
  return row ?? { matched: 0, judged: 0, due: 0 };
}
