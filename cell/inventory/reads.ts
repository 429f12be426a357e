import type { Tx } from "../../platform/sql.ts";
import type { Allocation } from "./commands.ts";
import { MAX_SELLABLE_SKUS, type Movement, type Sku } from "./contract.ts";
import { binOf } from "./domain.ts";
import { groupAllocations } from "./view.ts";

/** One SKU's sums over its bins. */
export interface LedgerStock {
  readonly sku: string;
  readonly on_hand: number;
  readonly allocated: number;
  readonly damaged: number;
  readonly version: number;
  /** Units that holds in SQL claim. */
  readonly held: number;
}

/** Sums of known SKUs; a SKU without any stock is all zeros, an unknown one is missing. */
export async function readStock(sql: Tx, skus: readonly string[]): Promise<LedgerStock[]> {
  return await sql.query<LedgerStock>(
    `SELECT s.sku, coalesce(sum(b.on_hand), 0)::INT8 AS on_hand, coalesce(sum(b.allocated), 0)::INT8 AS allocated,
       coalesce(sum(b.damaged), 0)::INT8 AS damaged, coalesce(sum(b.version), 0)::INT8 AS version,
       (SELECT coalesce(sum(l.quantity), 0) FROM inventory.hold_line l JOIN inventory.hold h ON h.hold_id = l.hold_id
        WHERE l.sku = s.sku AND h.expires_at > now())::INT8 AS held
     FROM inventory.sku s LEFT JOIN inventory.balance b ON b.sku = s.sku
     WHERE s.sku = ANY($1::TEXT[]) GROUP BY s.sku ORDER BY s.sku`,
    [skus],
  );
}

/** SKUs with units to promise, by the ledger alone; one more than fits, so that the caller sees the cut. */
export async function readSellable(sql: Tx): Promise<string[]> {
  const rows = await sql.query<{ sku: string }>(
    `SELECT sku FROM inventory.balance GROUP BY sku HAVING sum(on_hand - allocated - damaged) > 0
     ORDER BY sku LIMIT ${MAX_SELLABLE_SKUS + 1}`,
  );
  return rows.map((row) => row.sku);
}

/** Master data of the given SKUs. */
export async function readSkus(sql: Tx, skus: readonly string[]): Promise<Sku[]> {
  return await sql.query<Sku>(
    `SELECT sku, barcode, name, weight_grams AS "weightGrams", temperature FROM inventory.sku
     WHERE sku = ANY($1::TEXT[]) ORDER BY sku`,
    [skus],
  );
}

/** A row of the ledger. */
export interface MovementRow {
  readonly id: string;
  readonly bin_id: string;
  readonly version: number;
  readonly ordinal: number;
  readonly kind: string;
  readonly command_id: string;
  readonly hold_id: string | null;
  readonly actor: string | null;
  readonly h: number;
  readonly a: number;
  readonly d: number;
  readonly created_at: Date;
}

/** Where a page of movements begins: after this version and ordinal. */
export interface MovementCursor {
  readonly version: number;
  readonly ordinal: number;
}

/** Movements of a SKU in ledger order. */
export async function readMovements(
  sql: Tx,
  sku: string,
  after: MovementCursor,
  limit: number,
): Promise<(Movement & { ordinal: number })[]> {
  const rows = await sql.query<MovementRow>(
    `SELECT movement_id AS id, bin_id, version, ordinal, kind, command_id, hold_id, actor, on_hand_delta AS h,
       allocated_delta AS a, damaged_delta AS d, created_at
     FROM inventory.movement WHERE sku = $1 AND (version, ordinal) > ($2, $3)
     ORDER BY version, ordinal LIMIT $4`,
    [sku, after.version, after.ordinal, limit],
  );
  return rows.map((row) => ({ ...movementOf(sku, row), ordinal: row.ordinal }));
}

/** A movement as a caller sees it. */
export function movementOf(sku: string, row: MovementRow): Movement {
  return {
    id: row.id,
    sku,
    bin: binOf(row.bin_id),
    kind: row.kind,
    commandId: row.command_id,
    ...(row.hold_id === null ? {} : { holdId: row.hold_id }),
    ...(row.actor === null ? {} : { actor: row.actor }),
    onHandDelta: row.h,
    allocatedDelta: row.a,
    damagedDelta: row.d,
    version: row.version,
    at: row.created_at.toISOString(),
  };
}

/** An allocation as it stands now. */
export async function readAllocation(sql: Tx, holdId: string): Promise<Allocation | undefined> {
  const [row] = await sql.query<{ hold_id: string; order_id: string; state: "allocated" | "released" }>(
    "SELECT hold_id, order_id, state FROM inventory.allocation WHERE hold_id = $1",
    [holdId],
  );
  if (!row) return undefined;
  const lines = await sql.query<Parameters<typeof groupAllocations>[1][number]>(
    `SELECT hold_id, sku, bin_id, quantity, picked, shorted, put_back, released, returned
     FROM inventory.allocation_line WHERE hold_id = $1 ORDER BY sku, bin_id`,
    [holdId],
  );
  return groupAllocations([row], lines).get(holdId);
}

/** Writes master data; the codes of SKUs whose barcode belongs to another SKU, in which case nothing is written. */
export async function putSkus(tx: Tx, skus: readonly Sku[]): Promise<string[]> {
  const columns = [
    skus.map((row) => row.sku),
    skus.map((row) => row.barcode),
    skus.map((row) => row.name),
    skus.map((row) => row.weightGrams),
    skus.map((row) => row.temperature),
  ];
  const taken = await tx.query<{ sku: string }>(
    `SELECT n.s AS sku FROM unnest($1::TEXT[], $2::TEXT[]) AS n (s, b)
     JOIN inventory.sku k ON k.barcode = n.b AND k.sku <> n.s`,
    columns.slice(0, 2),
  );
  if (taken.length > 0) return taken.map((row) => row.sku);
  await tx.query(
    `INSERT INTO inventory.sku (sku, barcode, name, weight_grams, temperature)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT8[], $5::TEXT[])
     ON CONFLICT (sku) DO UPDATE SET barcode = excluded.barcode, name = excluded.name,
       weight_grams = excluded.weight_grams, temperature = excluded.temperature, updated_at = now()`,
    columns,
  );
  return [];
}
