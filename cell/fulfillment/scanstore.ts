import type { Tx } from "../../platform/sql.ts";
import type { Resolution } from "./domain.ts";

/** One scan of a picker's device. Its id is the device's, unique in the pick list. */
export interface Scan extends Resolution {
  readonly eventId: string;
  readonly pickListId: string;
  /** The user who scanned. */
  readonly actor: string;
}

export type NotedScan = Scan & { readonly applied: boolean };

interface ScanRow {
  event_id: string;
  pick_list_id: string;
  line_id: string;
  kind: "pick" | "short";
  recount: boolean;
  quantity: number;
  actor: string;
  applied: boolean;
}

const COLUMNS = "event_id, pick_list_id, line_id, kind, recount, quantity, actor, applied";

function toScan(row: ScanRow): NotedScan {
  return {
    eventId: row.event_id,
    pickListId: row.pick_list_id,
    lineId: row.line_id,
    kind: row.recount ? "recount" : row.kind,
    quantity: row.quantity,
    actor: row.actor,
    applied: row.applied,
  };
}

export async function findScan(tx: Tx, pickListId: string, eventId: string): Promise<NotedScan | undefined> {
  const rows = await tx.query<ScanRow>(
    `SELECT ${COLUMNS} FROM fulfillment.scan WHERE pick_list_id = $1 AND event_id = $2`,
    [pickListId, eventId],
  );
  return rows[0] && toScan(rows[0]);
}

/** Notes a scan before its effect on stock. */
export async function noteScan(tx: Tx, scan: Scan): Promise<void> {
  await tx.query(
    `INSERT INTO fulfillment.scan (event_id, pick_list_id, line_id, kind, recount, quantity, actor)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      scan.eventId,
      scan.pickListId,
      scan.lineId,
      scan.kind === "pick" ? "pick" : "short",
      scan.kind === "recount",
      scan.quantity,
      scan.actor,
    ],
  );
}

/** Scans of a list whose effect is still under way. */
export async function pendingScans(tx: Tx, pickListId: string): Promise<NotedScan[]> {
  const rows = await tx.query<ScanRow>(
    `SELECT ${COLUMNS} FROM fulfillment.scan WHERE pick_list_id = $1 AND NOT applied ORDER BY at, event_id`,
    [pickListId],
  );
  return rows.map(toScan);
}

/** Scans that were interrupted at least `afterSeconds` ago, whichever list they are of. */
export async function interruptedScans(tx: Tx, afterSeconds: number, limit: number): Promise<NotedScan[]> {
  const rows = await tx.query<ScanRow>(
    `SELECT ${COLUMNS} FROM fulfillment.scan
     WHERE NOT applied AND at < now() - $1::INT8 * INTERVAL '1 second' ORDER BY at LIMIT $2`,
    [afterSeconds, limit],
  );
  return rows.map(toScan);
}

/** Puts a scan that could not be completed behind the others. */
export async function postponeScan(tx: Tx, scan: Scan): Promise<void> {
  await tx.query(
    "UPDATE fulfillment.scan SET at = now() WHERE pick_list_id = $1 AND event_id = $2 AND NOT applied",
    [scan.pickListId, scan.eventId],
  );
}

/** Counts a scan on its line; false when it was counted before. */
export async function applyScan(tx: Tx, scan: Scan): Promise<boolean> {
  const rows = await tx.query(
    `UPDATE fulfillment.scan SET applied = true WHERE pick_list_id = $1 AND event_id = $2 AND NOT applied
     RETURNING event_id`,
    [scan.pickListId, scan.eventId],
  );
  if (rows.length === 0) return false;
  const { kind, quantity } = scan;
  const picked = kind === "pick" ? quantity : kind === "recount" ? -quantity : 0;
  const short = kind === "pick" ? 0 : quantity;
  await tx.query("UPDATE fulfillment.pick_line SET picked = picked + $2, short = short + $3 WHERE id = $1", [
    scan.lineId,
    picked,
    short,
  ]);
  return true;
}

/** Takes back a scan that inventory has refused. */
export async function dropScan(tx: Tx, scan: Scan): Promise<void> {
  await tx.query("DELETE FROM fulfillment.scan WHERE pick_list_id = $1 AND event_id = $2 AND NOT applied", [
    scan.pickListId,
    scan.eventId,
  ]);
}
