import type { Sql, Tx } from "../../platform/sql.ts";
import type { Bin } from "./contract.ts";
import { binOf } from "./domain.ts";

/** One line of what is between two centers. */
export interface InTransitLine {
  readonly transferId: string;
  readonly sku: string;
  readonly bin: Bin;
  readonly toCenter: string;
  readonly quantity: number;
  readonly since: string;
}

const MAX_SHOWN = 500;

/** Ends the transit of a transfer; its units, however often that is said, undefined when no such transfer left. */
export async function markArrived(sql: Sql, transferId: string): Promise<number | undefined> {
  const rows = await sql.transaction((tx) =>
    tx.query<{ quantity: number }>(
      `UPDATE inventory.in_transit SET arrived_at = coalesce(arrived_at, now()) WHERE transfer_id = $1
     RETURNING quantity`,
      [transferId],
    ),
  );
  return rows.length === 0 ? undefined : rows.reduce((sum, row) => sum + row.quantity, 0);
}

/** What left and has not been said to be there, oldest first, at most 500 lines. */
export async function readInTransit(sql: Tx): Promise<{ lines: InTransitLine[]; truncated: boolean }> {
  const rows = await sql.query<{
    transfer_id: string;
    sku: string;
    bin_id: string;
    to_center: string;
    quantity: number;
    created_at: Date;
  }>(
    `SELECT transfer_id, sku, bin_id, to_center, quantity, created_at FROM inventory.in_transit
     WHERE arrived_at IS NULL ORDER BY created_at, transfer_id, sku, bin_id LIMIT ${MAX_SHOWN + 1}`,
  );
  const lines = rows.slice(0, MAX_SHOWN).map((row) => ({
    transferId: row.transfer_id,
    sku: row.sku,
    bin: binOf(row.bin_id),
    toCenter: row.to_center,
    quantity: row.quantity,
    since: row.created_at.toISOString(),
  }));
  return { lines, truncated: rows.length > MAX_SHOWN };
}
