import type { Money } from "../../platform/money.ts";
import type { Tx } from "../../platform/sql.ts";
import {
  amountDue,
  isWaiting,
  type OrderState,
  type PaymentStatus,
  type PricedLine,
  type ShortLine,
  TERMINAL,
} from "./domain.ts";

/** One order as it is stored. */
export interface Order {
  readonly id: string;
  readonly sub: string;
  readonly idempotencyKey: string;
  /** Of the request that made it: the same key with another body is a mistake of the client's. */
  readonly bodyHash: string;
  readonly state: OrderState;
  readonly version: number;
  readonly paymentStatus: PaymentStatus;
  readonly paymentMethod: string;
  readonly lines: readonly PricedLine[];
  readonly shortLines: readonly ShortLine[];
  /** Units that the customer has cancelled. */
  readonly cancelledLines: readonly ShortLine[];
  readonly total: Money;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number };
  readonly promisedAt: Date;
  readonly createdAt: Date;
}

interface OrderRow {
  id: string;
  sub: string;
  idempotency_key: string;
  body_hash: string;
  state: OrderState;
  version: number;
  payment_status: PaymentStatus;
  payment_method: string;
  lines: PricedLine[];
  short_lines: ShortLine[];
  cancelled_lines: ShortLine[];
  total_minor: number;
  currency: string;
  latitude: number;
  longitude: number;
  promised_at: Date;
  created_at: Date;
}

const COLUMNS = `id, sub, idempotency_key, body_hash, state, version, payment_status, payment_method, lines, short_lines,
  cancelled_lines, total_minor, currency, latitude, longitude, promised_at, created_at`;

function toOrder(row: OrderRow): Order {
  return {
    id: row.id,
    sub: row.sub,
    idempotencyKey: row.idempotency_key,
    bodyHash: row.body_hash,
    state: row.state,
    version: row.version,
    paymentStatus: row.payment_status,
    paymentMethod: row.payment_method,
    lines: row.lines,
    shortLines: row.short_lines,
    cancelledLines: row.cancelled_lines,
    total: { amountMinor: row.total_minor, currency: row.currency },
    deliverTo: { latitude: row.latitude, longitude: row.longitude },
    promisedAt: row.promised_at,
    createdAt: row.created_at,
  };
}

export type NewOrder = Pick<
  Order,
  "id" | "sub" | "idempotencyKey" | "bodyHash" | "paymentMethod" | "lines" | "total" | "deliverTo"
> & { readonly promiseMinutes: number };

/**
 * Writes new orders in `created` and answers those that were written: not one whose user's key has an order already, or is closed.
 * Nothing was looked up before among the orders, because a search for what is not there makes strangers conflict at SERIALIZABLE.
 * Closed keys are hardly ever written.
 */
export async function insertOrders(tx: Tx, orders: readonly NewOrder[]): Promise<Order[]> {
  const rows = await tx.query<OrderRow>(
    `INSERT INTO orders.orders (id, sub, idempotency_key, body_hash, state, version, payment_method, lines, total_minor,
       currency, latitude, longitude, promised_at)
     SELECT n.id, n.sub, n.key, n.hash, 'created', 1, n.method, n.lines::JSONB, n.total, n.currency, n.latitude, n.longitude,
       now() + n.minutes * INTERVAL '1 minute'
     FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::INT8[], $8::TEXT[], $9::FLOAT8[],
       $10::FLOAT8[], $11::INT8[]) AS n (id, sub, key, hash, method, lines, total, currency, latitude, longitude, minutes)
     WHERE NOT EXISTS (SELECT 1 FROM orders.closed_key AS c WHERE c.sub = n.sub AND c.key = n.key)
     ON CONFLICT (sub, idempotency_key) DO NOTHING RETURNING ${COLUMNS}`,
    [
      orders.map(({ id }) => id),
      orders.map(({ sub }) => sub),
      orders.map(({ idempotencyKey }) => idempotencyKey),
      orders.map(({ bodyHash }) => bodyHash),
      orders.map(({ paymentMethod }) => paymentMethod),
      orders.map(({ lines }) => JSON.stringify(lines)),
      orders.map(({ total }) => total.amountMinor),
      orders.map(({ total }) => total.currency),
      orders.map(({ deliverTo }) => deliverTo.latitude),
      orders.map(({ deliverTo }) => deliverTo.longitude),
      orders.map(({ promiseMinutes }) => promiseMinutes),
    ],
  );
  return rows.map(toOrder);
}

/** Says that the floor has yet to deal with these orders. */
export async function noteWaiting(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.query(
    "INSERT INTO orders.waiting (order_id) SELECT * FROM unnest($1::TEXT[]) ON CONFLICT (order_id) DO NOTHING",
    [ids],
  );
}

/** Lets a key go whose order came to nothing for reasons of ours, so that the customer's next try is a new order. */
export async function releaseKey(tx: Tx, id: string): Promise<void> {
  await tx.query("UPDATE orders.orders SET idempotency_key = idempotency_key || '#' || id WHERE id = $1", [
    id,
  ]);
}

export async function findOrder(tx: Tx, id: string): Promise<Order | undefined> {
  const rows = await tx.query<OrderRow>(`SELECT ${COLUMNS} FROM orders.orders WHERE id = $1`, [id]);
  return rows[0] && toOrder(rows[0]);
}

/** The orders of these ids that there are. */
export async function findOrders(tx: Tx, ids: readonly string[]): Promise<Order[]> {
  const rows = await tx.query<OrderRow>(`SELECT ${COLUMNS} FROM orders.orders WHERE id = ANY($1::TEXT[])`, [
    ids,
  ]);
  return rows.map(toOrder);
}

/** The same with their rows locked until the transaction ends. */
export async function lockOrders(tx: Tx, ids: readonly string[]): Promise<Order[]> {
  const rows = await tx.query<OrderRow>(
    `SELECT ${COLUMNS} FROM orders.orders WHERE id = ANY($1::TEXT[]) ORDER BY id FOR UPDATE`,
    [ids],
  );
  return rows.map(toOrder);
}

/** The order with its row locked until the transaction ends. */
export async function lockOrder(tx: Tx, id: string): Promise<Order | undefined> {
  const rows = await tx.query<OrderRow>(`SELECT ${COLUMNS} FROM orders.orders WHERE id = $1 FOR UPDATE`, [
    id,
  ]);
  return rows[0] && toOrder(rows[0]);
}

export interface UserKey {
  readonly sub: string;
  readonly key: string;
}

/** For each of these keys the order under it, in their order. */
export async function findByKeys(tx: Tx, keys: readonly UserKey[]): Promise<(Order | undefined)[]> {
  const rows = await tx.query<OrderRow>(
    `SELECT ${COLUMNS} FROM orders.orders
     WHERE (sub, idempotency_key) IN (SELECT * FROM unnest($1::TEXT[], $2::TEXT[]))`,
    [keys.map(({ sub }) => sub), keys.map(({ key }) => key)],
  );
  return keys.map(({ sub, key }) => {
    const row = rows.find((one) => one.sub === sub && one.idempotency_key === key);
    return row && toOrder(row);
  });
}

/** Newest first. `sub` undefined lists everybody's. The cursor is the last page's `nextCursor`. */
export async function listOrders(
  tx: Tx,
  filter: {
    sub?: string | undefined;
    state?: string | undefined;
    cursor?: string | undefined;
    limit: number;
  },
): Promise<{ orders: Order[]; nextCursor?: string }> {
  // Ids are UUIDv7 behind one prefix and center, so they sort by time.
  const rest = [filter.state ?? null, filter.cursor ?? null, filter.limit];
  // Two statements, because no plan for both would use the index of a user's orders.
  const rows =
    filter.sub === undefined
      ? await tx.query<OrderRow>(
          `SELECT ${COLUMNS} FROM orders.orders WHERE ($1::TEXT IS NULL OR state = $1) AND ($2::TEXT IS NULL OR id < $2)
           ORDER BY id DESC LIMIT $3`,
          rest,
        )
      : await tx.query<OrderRow>(
          `SELECT ${COLUMNS} FROM orders.orders
           WHERE ($1::TEXT IS NULL OR state = $1) AND ($2::TEXT IS NULL OR id < $2) AND sub = $4
           ORDER BY sub DESC, id DESC LIMIT $3`,
          [...rest, filter.sub],
        );
  const orders = rows.map(toOrder);
  const last = rows.length === filter.limit ? rows.at(-1) : undefined;
  return last ? { orders, nextCursor: last.id } : { orders };
}

export async function saveState(tx: Tx, id: string, state: OrderState, version: number): Promise<void> {
  const saving = tx.query(
    "UPDATE orders.orders SET state = $2, version = $3, updated_at = now() WHERE id = $1",
    [id, state, version],
  );
  const leaving = !isWaiting(state) && tx.query("DELETE FROM orders.waiting WHERE order_id = $1", [id]);
  await Promise.all([saving, leaving]);
}

/** Writes states that the floor still waits for, with the payment's, of several orders. */
export async function saveMoves(
  tx: Tx,
  moves: readonly Pick<Order, "id" | "state" | "version" | "paymentStatus">[],
): Promise<void> {
  await tx.query(
    `UPDATE orders.orders AS o SET state = n.state, version = n.version, payment_status = n.payment, updated_at = now()
     FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[]) AS n (id, state, version, payment) WHERE o.id = n.id`,
    [
      moves.map(({ id }) => id),
      moves.map(({ state }) => state),
      moves.map(({ version }) => version),
      moves.map(({ paymentStatus }) => paymentStatus),
    ],
  );
}

/** What the customer owes for an order. Minor units of its currency. */
export function dueOf(order: Pick<Order, "lines" | "shortLines" | "cancelledLines">): number {
  return amountDue(order.lines, order.cancelledLines, order.shortLines);
}

/** How many orders the floor has yet to deal with, at most `limit`. */
export async function countWaiting(tx: Tx, limit: number): Promise<number> {
  const [row] = await tx.query<{ open: number }>(
    "SELECT count(*)::INT8 AS open FROM (SELECT 1 FROM orders.waiting LIMIT $1) AS o",
    [limit],
  );
  return row?.open ?? 0;
}

/** What is left to be done, each count at most `limit`; asked for a few times in a drain, so that no index has to be kept for it. */
export async function countOpen(
  tx: Tx,
  limit: number,
): Promise<{ readonly openOrders: number; readonly openEffects: number }> {
  const [row] = await tx.query<{ orders: number; effects: number }>(
    `SELECT (SELECT count(*) FROM (SELECT 1 FROM orders.orders WHERE state <> ALL($1) LIMIT $2) AS o)::INT8 AS orders,
            (SELECT count(*) FROM (SELECT 1 FROM orders.effect WHERE NOT done LIMIT $2) AS e)::INT8
            + (SELECT count(*) FROM (SELECT 1 FROM orders.saga WHERE direction IN ('forward', 'backward') AND name <> 'place'
                LIMIT $2) AS s)::INT8 AS effects`,
    [[...TERMINAL], limit],
  );
  return { openOrders: row?.orders ?? 0, openEffects: Math.min(limit, row?.effects ?? 0) };
}

export async function savePaymentStatus(tx: Tx, id: string, status: PaymentStatus): Promise<void> {
  await tx.query("UPDATE orders.orders SET payment_status = $2, updated_at = now() WHERE id = $1", [
    id,
    status,
  ]);
}

/** The money is authorised, unless more than that is known already: an early word of what came after it stands. */
export async function saveAuthorised(tx: Tx, id: string): Promise<void> {
  await tx.query(
    "UPDATE orders.orders SET payment_status = 'authorised', updated_at = now() WHERE id = $1 AND payment_status = 'none'",
    [id],
  );
}

export async function saveShortLines(tx: Tx, id: string, lines: readonly ShortLine[]): Promise<void> {
  await tx.query("UPDATE orders.orders SET short_lines = $2, updated_at = now() WHERE id = $1", [
    id,
    JSON.stringify(lines),
  ]);
}

export async function saveCancelledLines(tx: Tx, id: string, lines: readonly ShortLine[]): Promise<void> {
  await tx.query("UPDATE orders.orders SET cancelled_lines = $2, updated_at = now() WHERE id = $1", [
    id,
    JSON.stringify(lines),
  ]);
}

/** Where to and until when; what is not given stays. */
export async function saveDelivery(
  tx: Tx,
  id: string,
  change: { readonly deliverTo?: Order["deliverTo"] | undefined; readonly promisedAt?: Date | undefined },
): Promise<void> {
  await tx.query(
    `UPDATE orders.orders SET latitude = COALESCE($2, latitude), longitude = COALESCE($3, longitude),
       promised_at = COALESCE($4, promised_at), updated_at = now() WHERE id = $1`,
    [id, change.deliverTo?.latitude ?? null, change.deliverTo?.longitude ?? null, change.promisedAt ?? null],
  );
}

export interface LogEntry {
  readonly version: number;
  readonly event: string;
  readonly from: string;
  readonly to: string;
  readonly outcome: string;
  readonly actor: string;
  readonly at: string;
}

/** An entry as it is written. */
export interface NewLogEntry extends Omit<LogEntry, "at"> {
  readonly orderId: string;
  readonly eventId: string;
}

/** Appends to the immutable log, whose rows nobody changes or deletes. False when this event is in it with this outcome. */
export async function appendLog(
  tx: Tx,
  orderId: string,
  eventId: string,
  entry: Omit<LogEntry, "at">,
): Promise<boolean> {
  return (await appendLogs(tx, [{ orderId, eventId, ...entry }])).length === 1;
}

/** The same for several; answers the ids of the events that were not in it. */
export async function appendLogs(tx: Tx, entries: readonly NewLogEntry[]): Promise<string[]> {
  const rows = await tx.query<{ event_id: string }>(
    `INSERT INTO orders.state_log (order_id, event_id, version, event, from_state, to_state, outcome, actor)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[])
     ON CONFLICT (order_id, event_id, outcome) DO NOTHING RETURNING event_id`,
    [
      entries.map(({ orderId }) => orderId),
      entries.map(({ eventId }) => eventId),
      entries.map(({ version }) => version),
      entries.map(({ event }) => event),
      entries.map(({ from }) => from),
      entries.map(({ to }) => to),
      entries.map(({ outcome }) => outcome),
      entries.map(({ actor }) => actor),
    ],
  );
  return rows.map(({ event_id }) => event_id);
}

/** True when this event has moved the order before. */
export async function wasApplied(tx: Tx, orderId: string, eventId: string): Promise<boolean> {
  const rows = await tx.query(
    "SELECT 1 FROM orders.state_log WHERE order_id = $1 AND event_id = $2 AND outcome = 'applied'",
    [orderId, eventId],
  );
  return rows.length > 0;
}

export async function readLog(tx: Tx, orderId: string): Promise<LogEntry[]> {
  const rows = await tx.query<Record<string, unknown> & { at: Date }>(
    `SELECT version, event, from_state AS "from", to_state AS "to", outcome, actor, at FROM orders.state_log
     WHERE order_id = $1 ORDER BY version, at LIMIT 500`,
    [orderId],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }) as unknown as LogEntry);
}
