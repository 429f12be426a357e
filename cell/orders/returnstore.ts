import type { Tx } from "../../platform/sql.ts";
import type { InspectBody, ReturnBody } from "./contract.ts";
import type { ReturnEvent, ReturnState } from "./domain.ts";

/** Goods of one order that come back. */
export interface Return {
  readonly id: string;
  readonly orderId: string;
  /** Of the request that made it: the same request is the same return. */
  readonly requestKey: string;
  readonly state: ReturnState;
  readonly version: number;
  readonly lines: ReturnBody["lines"];
  readonly inspected: InspectBody["lines"];
  readonly refundMinor: number;
  readonly currency: string;
  readonly createdAt: Date;
  readonly receiveBy: Date;
}

interface ReturnRow {
  id: string;
  order_id: string;
  request_key: string;
  state: ReturnState;
  version: number;
  lines: ReturnBody["lines"];
  inspected: InspectBody["lines"];
  refund_minor: number;
  currency: string;
  created_at: Date;
  receive_by: Date;
}

const COLUMNS =
  "id, order_id, request_key, state, version, lines, inspected, refund_minor, currency, created_at, receive_by";

function toReturn(row: ReturnRow): Return {
  return {
    id: row.id,
    orderId: row.order_id,
    requestKey: row.request_key,
    state: row.state,
    version: row.version,
    lines: row.lines,
    inspected: row.inspected,
    refundMinor: row.refund_minor,
    currency: row.currency,
    createdAt: row.created_at,
    receiveBy: row.receive_by,
  };
}

export async function findReturn(tx: Tx, id: string): Promise<Return | undefined> {
  const rows = await tx.query<ReturnRow>(`SELECT ${COLUMNS} FROM orders.return_case WHERE id = $1`, [id]);
  return rows[0] && toReturn(rows[0]);
}

/** Oldest first; an order has `MAX_RETURNS` at most. */
export async function returnsOf(tx: Tx, orderId: string): Promise<Return[]> {
  const rows = await tx.query<ReturnRow>(
    `SELECT ${COLUMNS} FROM orders.return_case WHERE order_id = $1 ORDER BY id`,
    [orderId],
  );
  return rows.map(toReturn);
}

/** Writes a new return; undefined when this request has one. */
export async function insertReturn(
  tx: Tx,
  wanted: Pick<Return, "id" | "orderId" | "requestKey" | "lines" | "refundMinor" | "currency"> & {
    receiveDays: number;
  },
): Promise<Return | undefined> {
  const rows = await tx.query<ReturnRow>(
    `INSERT INTO orders.return_case (id, order_id, request_key, state, lines, refund_minor, currency, receive_by)
     VALUES ($1, $2, $7, 'requested', $3, $4, $5, now() + $6::INT8 * INTERVAL '1 day')
     ON CONFLICT (order_id, request_key) DO NOTHING RETURNING ${COLUMNS}`,
    [
      wanted.id,
      wanted.orderId,
      JSON.stringify(wanted.lines),
      wanted.refundMinor,
      wanted.currency,
      wanted.receiveDays,
      wanted.requestKey,
    ],
  );
  return rows[0] && toReturn(rows[0]);
}

export interface ReturnMove {
  readonly event: ReturnEvent;
  readonly to: ReturnState;
  /** A slice or a role, never a person's name. */
  readonly actor: string;
  readonly inspected?: InspectBody["lines"];
  readonly refundMinor?: number;
}

/** Moves a return on from the state and version that it was read in, with its row of the log; undefined when it has moved meanwhile. */
export async function moveReturn(tx: Tx, from: Return, move: ReturnMove): Promise<Return | undefined> {
  const rows = await tx.query<ReturnRow>(
    `UPDATE orders.return_case SET state = $4, version = version + 1, inspected = COALESCE($5, inspected),
       refund_minor = COALESCE($6, refund_minor)
     WHERE id = $1 AND state = $2 AND version = $3 RETURNING ${COLUMNS}`,
    [
      from.id,
      from.state,
      from.version,
      move.to,
      move.inspected ? JSON.stringify(move.inspected) : null,
      move.refundMinor ?? null,
    ],
  );
  if (!rows[0]) return undefined;
  const moved = toReturn(rows[0]);
  await appendReturnLog(tx, moved, { event: move.event, from: from.state, actor: move.actor });
  return moved;
}

/** Appends to the log of returns, whose rows nobody changes or deletes. */
export async function appendReturnLog(
  tx: Tx,
  { id, version, state }: Return,
  entry: { readonly event: string; readonly from: string; readonly actor: string },
): Promise<void> {
  await tx.query(
    `INSERT INTO orders.return_log (return_id, version, event, from_state, to_state, actor)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [id, version, entry.event, entry.from, state, entry.actor],
  );
}

/** Returns whose goods have not come in time, at most `limit`. */
export async function overdueReturns(tx: Tx, limit: number): Promise<Return[]> {
  const rows = await tx.query<ReturnRow>(
    `SELECT ${COLUMNS} FROM orders.return_case WHERE state = 'requested' AND receive_by < now()
     ORDER BY receive_by LIMIT $1`,
    [limit],
  );
  return rows.map(toReturn);
}

/** True when the order was delivered no longer ago than this. */
export async function deliveredWithin(tx: Tx, orderId: string, days: number): Promise<boolean> {
  const rows = await tx.query(
    `SELECT version FROM orders.state_log WHERE order_id = $1 AND event = 'proof' AND outcome = 'applied'
       AND at >= now() - $2::INT8 * INTERVAL '1 day'`,
    [orderId, days],
  );
  return rows.length > 0;
}

/** Money that was given back without goods. */
export interface Refund {
  readonly id: string;
  readonly orderId: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly reason: string;
  readonly state: "asked" | "taken" | "refused";
  readonly createdAt: Date;
}

interface RefundRow {
  id: string;
  order_id: string;
  amount_minor: number;
  currency: string;
  reason: string;
  state: Refund["state"];
  created_at: Date;
}

const REFUND_COLUMNS = "id, order_id, amount_minor, currency, reason, state, created_at";

function toRefund(row: RefundRow): Refund {
  return {
    id: row.id,
    orderId: row.order_id,
    amountMinor: row.amount_minor,
    currency: row.currency,
    reason: row.reason,
    state: row.state,
    createdAt: row.created_at,
  };
}

export async function findRefund(tx: Tx, id: string): Promise<Refund | undefined> {
  const rows = await tx.query<RefundRow>(`SELECT ${REFUND_COLUMNS} FROM orders.refund WHERE id = $1`, [id]);
  return rows[0] && toRefund(rows[0]);
}

/** Undefined when there is one under this id. */
export async function insertRefund(
  tx: Tx,
  refund: Omit<Refund, "state" | "createdAt">,
): Promise<Refund | undefined> {
  const rows = await tx.query<RefundRow>(
    `INSERT INTO orders.refund (id, order_id, amount_minor, currency, reason) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO NOTHING RETURNING ${REFUND_COLUMNS}`,
    [refund.id, refund.orderId, refund.amountMinor, refund.currency, refund.reason],
  );
  return rows[0] && toRefund(rows[0]);
}

export async function saveRefundState(tx: Tx, id: string, state: Refund["state"]): Promise<void> {
  await tx.query("UPDATE orders.refund SET state = $2 WHERE id = $1 AND state = 'asked'", [id, state]);
}

/** What was asked to be given back for an order so far and not refused, with goods or without. Minor units. */
export async function refundedMinor(tx: Tx, orderId: string): Promise<number> {
  const rows = await tx.query<{ minor: number }>(
    `SELECT (COALESCE((SELECT sum(amount_minor) FROM orders.refund WHERE order_id = $1 AND state <> 'refused'), 0)
       + COALESCE((SELECT sum(refund_minor) FROM orders.return_case
           WHERE order_id = $1 AND state IN ('inspected', 'closed')), 0))::INT8 AS minor`,
    [orderId],
  );
  return rows[0]?.minor ?? 0;
}
