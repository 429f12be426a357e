import type { Tx } from "../../platform/sql.ts";
import type { PickLine, PickListState } from "./domain.ts";

export interface PickList {
  readonly id: string;
  readonly orderId: string;
  readonly holdId: string;
  readonly state: PickListState;
  readonly version: number;
  readonly tote: string | undefined;
  readonly packageBarcode: string | undefined;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number };
  readonly promisedAt: Date;
  readonly lines: readonly PickLine[];
}

interface ListRow {
  id: string;
  order_id: string;
  hold_id: string;
  state: PickListState;
  version: number;
  tote: string | null;
  package_barcode: string | null;
  latitude: number;
  longitude: number;
  promised_at: Date;
}

interface LineRow {
  id: string;
  pick_list_id: string;
  sku: string;
  barcode: string;
  weight_grams: number;
  aisle: number;
  bin_position: number;
  level: number;
  quantity: number;
  picked: number;
  short: number;
  cancelled: number;
}

const LIST_COLUMNS =
  "id, order_id, hold_id, state, version, tote, package_barcode, latitude, longitude, promised_at";

const LINE_COLUMNS =
  "id, pick_list_id, sku, barcode, weight_grams, aisle, bin_position, level, quantity, picked, short, cancelled";

function toLine(row: LineRow): PickLine {
  return {
    id: row.id,
    sku: row.sku,
    barcode: row.barcode,
    weightGrams: row.weight_grams,
    bin: { aisle: row.aisle, position: row.bin_position, level: row.level },
    quantity: row.quantity - row.cancelled,
    picked: row.picked,
    short: row.short,
  };
}

async function withLines(tx: Tx, rows: readonly ListRow[]): Promise<PickList[]> {
  if (rows.length === 0) return [];
  const lines = await tx.query<LineRow>(
    `SELECT ${LINE_COLUMNS} FROM fulfillment.pick_line WHERE pick_list_id = ANY($1) ORDER BY pick_list_id, position`,
    [rows.map(({ id }) => id)],
  );
  return toLists(rows, lines);
}

function toLists(rows: readonly ListRow[], lines: readonly LineRow[]): PickList[] {
  return rows.map((row) => ({
    id: row.id,
    orderId: row.order_id,
    holdId: row.hold_id,
    state: row.state,
    version: row.version,
    tote: row.tote ?? undefined,
    packageBarcode: row.package_barcode ?? undefined,
    deliverTo: { latitude: row.latitude, longitude: row.longitude },
    promisedAt: row.promised_at,
    lines: lines.filter((line) => line.pick_list_id === row.id).map(toLine),
  }));
}

/** Writes pick lists with their lines in the order of walking. Answers the ids of those whose orders had none. */
export async function insertPickLists(tx: Tx, lists: readonly PickList[]): Promise<string[]> {
  if (lists.length === 0) return [];
  const rows = await tx.query<{ id: string }>(
    `INSERT INTO fulfillment.pick_list (id, order_id, hold_id, state, version, latitude, longitude, promised_at)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::INT8[], $6::FLOAT8[], $7::FLOAT8[], $8::TIMESTAMPTZ[])
     ON CONFLICT (order_id) DO NOTHING RETURNING id`,
    [
      lists.map(({ id }) => id),
      lists.map(({ orderId }) => orderId),
      lists.map(({ holdId }) => holdId),
      lists.map(({ state }) => state),
      lists.map(({ version }) => version),
      lists.map(({ deliverTo }) => deliverTo.latitude),
      lists.map(({ deliverTo }) => deliverTo.longitude),
      lists.map(({ promisedAt }) => promisedAt),
    ],
  );
  const made = new Set(rows.map(({ id }) => id));
  const lines = lists
    .filter(({ id }) => made.has(id))
    .flatMap(({ id, lines: of }) => of.map((line, position) => ({ ...line, list: id, position })));
  if (lines.length === 0) return [...made];
  await tx.query(
    `INSERT INTO fulfillment.pick_line (id, pick_list_id, position, sku, barcode, weight_grams, aisle, bin_position,
       level, quantity)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[], $5::TEXT[], $6::INT8[], $7::INT8[], $8::INT8[],
       $9::INT8[], $10::INT8[])`,
    [
      lines.map(({ id }) => id),
      lines.map(({ list }) => list),
      lines.map(({ position }) => position),
      lines.map(({ sku }) => sku),
      lines.map(({ barcode }) => barcode),
      lines.map(({ weightGrams }) => weightGrams),
      lines.map(({ bin }) => bin.aisle),
      lines.map(({ bin }) => bin.position),
      lines.map(({ bin }) => bin.level),
      lines.map(({ quantity }) => quantity),
    ],
  );
  return [...made];
}

export async function findPickList(tx: Tx, id: string): Promise<PickList | undefined> {
  const rows = await tx.query<ListRow>(`SELECT ${LIST_COLUMNS} FROM fulfillment.pick_list WHERE id = $1`, [
    id,
  ]);
  return (await withLines(tx, rows))[0];
}

/** The list by its id with its row locked, in one round trip. */
export async function lockPickList(tx: Tx, id: string): Promise<PickList | undefined> {
  const locking = tx.query<ListRow>(
    `SELECT ${LIST_COLUMNS} FROM fulfillment.pick_list WHERE id = $1 FOR UPDATE`,
    [id],
  );
  const reading = tx.query<LineRow>(
    `SELECT ${LINE_COLUMNS} FROM fulfillment.pick_line WHERE pick_list_id = $1 ORDER BY position`,
    [id],
  );
  const [rows, lines] = await Promise.all([locking, reading]);
  return toLists(rows, lines)[0];
}

export async function lockPickListOf(tx: Tx, orderId: string): Promise<PickList | undefined> {
  const rows = await tx.query<ListRow>(
    `SELECT ${LIST_COLUMNS} FROM fulfillment.pick_list WHERE order_id = $1 FOR UPDATE`,
    [orderId],
  );
  return (await withLines(tx, rows))[0];
}

/** Oldest first: ids sort by time. */
export async function listPickLists(
  tx: Tx,
  filter: { state?: string | undefined; cursor?: string | undefined; limit: number },
): Promise<{ lists: PickList[]; nextCursor?: string }> {
  const rows = await tx.query<ListRow>(
    `SELECT ${LIST_COLUMNS} FROM fulfillment.pick_list
     WHERE ($1::TEXT IS NULL OR state = $1) AND ($2::TEXT IS NULL OR id > $2) ORDER BY id LIMIT $3`,
    [filter.state ?? null, filter.cursor ?? null, filter.limit],
  );
  const lists = await withLines(tx, rows);
  const last = rows.length === filter.limit ? rows.at(-1) : undefined;
  return last ? { lists, nextCursor: last.id } : { lists };
}

export async function savePickList(
  tx: Tx,
  id: string,
  change: { state: PickListState; version: number; tote?: string; packageBarcode?: string },
): Promise<void> {
  await tx.query(
    `UPDATE fulfillment.pick_list SET state = $2, version = $3, tote = COALESCE($4, tote),
       package_barcode = COALESCE($5, package_barcode), updated_at = now() WHERE id = $1`,
    [id, change.state, change.version, change.tote ?? null, change.packageBarcode ?? null],
  );
}

/** Takes units off a list. `cancelled` is what of a bin's units is cancelled in all, so that it may come twice and late. */
export async function cancelUnits(
  tx: Tx,
  pickListId: string,
  {
    sku,
    bin,
    cancelled,
  }: { readonly sku: string; readonly bin: PickLine["bin"]; readonly cancelled: number },
): Promise<void> {
  await tx.query(
    `UPDATE fulfillment.pick_line SET cancelled = GREATEST(cancelled, $6)
     WHERE pick_list_id = $1 AND sku = $2 AND aisle = $3 AND bin_position = $4 AND level = $5`,
    [pickListId, sku, bin.aisle, bin.position, bin.level, cancelled],
  );
}

/** Where a package goes and until when, unless a later word on it is known; false then. */
export async function saveDelivery(
  tx: Tx,
  pickListId: string,
  delivery: Pick<PickList, "deliverTo" | "promisedAt"> & { readonly orderVersion: number },
): Promise<boolean> {
  const { deliverTo, promisedAt, orderVersion } = delivery;
  const rows = await tx.query(
    `UPDATE fulfillment.pick_list SET latitude = $2, longitude = $3, promised_at = $4, delivery_version = $5, updated_at = now()
     WHERE id = $1 AND delivery_version < $5 RETURNING id`,
    [pickListId, deliverTo.latitude, deliverTo.longitude, promisedAt, orderVersion],
  );
  return rows.length === 1;
}

export async function callOff(tx: Tx, orderId: string): Promise<void> {
  await tx.query(
    "INSERT INTO fulfillment.called_off (order_id) VALUES ($1) ON CONFLICT (order_id) DO NOTHING",
    [orderId],
  );
}

/** Those of these orders that were called off. */
export async function findCalledOff(tx: Tx, orderIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.query<{ order_id: string }>(
    "SELECT order_id FROM fulfillment.called_off WHERE order_id = ANY($1::TEXT[])",
    [orderIds],
  );
  return new Set(rows.map(({ order_id }) => order_id));
}

/** Forgets calls that are older than any confirmation that could still arrive; at most `limit`. */
export async function sweepCalledOff(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.query(
    `DELETE FROM fulfillment.called_off WHERE order_id IN (SELECT order_id FROM fulfillment.called_off
       WHERE at < now() - INTERVAL '30 days' ORDER BY at LIMIT $1) RETURNING order_id`,
    [limit],
  );
  return rows.length;
}

/** Whether another package carries this label. */
export async function isLabelTaken(tx: Tx, packageBarcode: string, pickListId: string): Promise<boolean> {
  const rows = await tx.query("SELECT 1 FROM fulfillment.pick_list WHERE package_barcode = $1 AND id <> $2", [
    packageBarcode,
    pickListId,
  ]);
  return rows.length > 0;
}
