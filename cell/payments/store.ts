import type { Money } from "../../platform/money.ts";
import type { Tx } from "../../platform/sql.ts";
import {
  type IntentBody,
  type IntentStatus,
  REVIEW_REASONS,
  type ReviewReason,
  type Risk,
} from "./contract.ts";
import type { Assessment } from "./risk.ts";

/** The SQL schema of this slice. */
export const SCHEMA = "payments";

/** How far the look of a person is: `closed` when the money went away before a decision. */
export type Review = "open" | "approved" | "refused" | "closed";

/** An intent that is to be written, with what was thought of it. */
export interface NewIntent extends IntentBody {
  readonly assessment?: Assessment | undefined;
}

/** The money of one order. Amounts in minor units of `currency`. */
export interface Intent {
  readonly id: string;
  readonly orderId: string;
  readonly method: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly status: IntentStatus;
  readonly captureAskedMinor: number;
  readonly capturedMinor: number;
  readonly refundAskedMinor: number;
  readonly refundedMinor: number;
  readonly declineReason: string | undefined;
  readonly risk: Risk | undefined;
  readonly review: Review | undefined;
  readonly reviewReasons: readonly ReviewReason[];
  readonly version: number;
}

interface IntentRow {
  intent_id: string;
  order_id: string;
  method: string;
  amount_minor: number;
  currency: string;
  status: IntentStatus;
  capture_asked_minor: number;
  captured_minor: number;
  refund_asked_minor: number;
  refunded_minor: number;
  decline_reason: string | null;
  risk_customer: string | null;
  risk_address: string | null;
  risk_reasons: string | null;
  review: Review | null;
  version: number;
}

const COLUMNS = `intent_id, order_id, method, amount_minor, currency, status, capture_asked_minor, captured_minor,
  refund_asked_minor, refunded_minor, decline_reason, risk_customer, risk_address, risk_reasons, review, version`;

function toIntent(row: IntentRow): Intent {
  return {
    id: row.intent_id,
    orderId: row.order_id,
    method: row.method,
    amountMinor: row.amount_minor,
    currency: row.currency,
    status: row.status,
    captureAskedMinor: row.capture_asked_minor,
    capturedMinor: row.captured_minor,
    refundAskedMinor: row.refund_asked_minor,
    refundedMinor: row.refunded_minor,
    declineReason: row.decline_reason ?? undefined,
    risk: riskOf(row.risk_customer, row.risk_address),
    review: row.review ?? undefined,
    reviewReasons: reasonsOf(row.risk_reasons),
    version: row.version,
  };
}

function riskOf(customer: string | null, address: string | null): Risk | undefined {
  return customer === null || address === null ? undefined : { customer, address };
}

/** Reasons as they are stored: words with commas between. */
export function reasonsOf(text: string | null): ReviewReason[] {
  const words = new Set(text?.split(","));
  return REVIEW_REASONS.filter((reason) => words.has(reason));
}

/** Writes a new intent; false when its id is taken. */
export async function insertIntent(tx: Tx, body: IntentBody, status: IntentStatus): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO payments.intent (intent_id, order_id, method, amount_minor, currency, status)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (intent_id) DO NOTHING RETURNING intent_id`,
    [body.intentId, body.orderId, body.method, body.amount.amountMinor, body.amount.currency, status],
  );
  return rows.length === 1;
}

/** Writes new intents; answers those whose ids were free. A review that has to be runs out `reviewHours` from now. */
export async function insertIntents(
  tx: Tx,
  bodies: readonly NewIntent[],
  status: IntentStatus,
  reviewHours: number,
): Promise<Intent[]> {
  const rows = await tx.query<IntentRow>(
    `INSERT INTO payments.intent (intent_id, order_id, method, amount_minor, currency, status, risk_customer, risk_address,
       risk_score, risk_reasons, review, review_until)
     SELECT n.id, n.order_id, n.method, n.amount, n.currency, $6, n.customer, n.address, n.score, n.reasons, n.review,
       CASE WHEN n.review IS NULL THEN NULL ELSE now() + $12::INT8 * INTERVAL '1 hour' END
     FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT8[], $5::TEXT[], $7::TEXT[], $8::TEXT[], $9::INT8[], $10::TEXT[],
       $11::TEXT[]) AS n (id, order_id, method, amount, currency, customer, address, score, reasons, review)
     ON CONFLICT (intent_id) DO NOTHING RETURNING ${COLUMNS}`,
    [
      bodies.map(({ intentId }) => intentId),
      bodies.map(({ orderId }) => orderId),
      bodies.map(({ method }) => method),
      bodies.map(({ amount }) => amount.amountMinor),
      bodies.map(({ amount }) => amount.currency),
      status,
      bodies.map(({ risk }) => risk?.customer ?? null),
      bodies.map(({ risk }) => risk?.address ?? null),
      bodies.map(({ assessment }) => assessment?.score ?? null),
      bodies.map(({ assessment }) => assessment?.reasons.join(",") ?? null),
      bodies.map(({ assessment }) => (assessment?.needsReview ? "open" : null)),
      reviewHours,
    ],
  );
  return rows.map(toIntent);
}

export async function findIntent(tx: Tx, id: string): Promise<Intent | undefined> {
  const [row] = await tx.query<IntentRow>(`SELECT ${COLUMNS} FROM payments.intent WHERE intent_id = $1`, [
    id,
  ]);
  return row && toIntent(row);
}

/** The intent with its row locked until the transaction ends. */
export async function lockIntent(tx: Tx, id: string): Promise<Intent | undefined> {
  const [row] = await tx.query<IntentRow>(
    `SELECT ${COLUMNS} FROM payments.intent WHERE intent_id = $1 FOR UPDATE`,
    [id],
  );
  return row && toIntent(row);
}

/** The intents with their rows locked until the transaction ends. */
export async function lockIntents(tx: Tx, ids: readonly string[]): Promise<Intent[]> {
  const rows = await tx.query<IntentRow>(
    `SELECT ${COLUMNS} FROM payments.intent WHERE intent_id = ANY($1::TEXT[]) ORDER BY intent_id FOR UPDATE`,
    [ids],
  );
  return rows.map(toIntent);
}

/** Gives intents a status and leaves their amounts as they are. */
export async function changeStatuses(
  tx: Tx,
  ids: readonly string[],
  status: IntentStatus,
): Promise<Intent[]> {
  const rows = await tx.query<IntentRow>(
    `UPDATE payments.intent SET status = $2, version = version + 1, updated_at = now()
     WHERE intent_id = ANY($1::TEXT[]) RETURNING ${COLUMNS}`,
    [ids, status],
  );
  return rows.map(toIntent);
}

export interface IntentChange {
  readonly status: IntentStatus;
  readonly capturedMinor?: number;
  /** Below zero when the processor has refused what was asked. */
  readonly captureAskedMinor?: number;
  readonly refundAskedMinor?: number;
  readonly refundedMinor?: number;
  readonly declineReason?: string | undefined;
}

/**
 * Changes amounts by what is given, never to a number read before, and only as far as the money reaches: captures within
 * what was authorised, refunds within what was captured. Undefined when it does not reach.
 */
export async function changeIntent(tx: Tx, id: string, change: IntentChange): Promise<Intent | undefined> {
  const [row] = await tx.query<IntentRow>(
    `UPDATE payments.intent SET status = $2, capture_asked_minor = capture_asked_minor + $3,
       captured_minor = captured_minor + $4, refund_asked_minor = refund_asked_minor + $5,
       refunded_minor = refunded_minor + $6, decline_reason = COALESCE($7, decline_reason), version = version + 1,
       review = CASE WHEN review = 'open' AND $2 NOT IN ('authorising', 'unknown', 'authorised') THEN 'closed' ELSE review END,
       updated_at = now()
     WHERE intent_id = $1 AND capture_asked_minor + $3 <= amount_minor AND refund_asked_minor + $5 <= captured_minor + $4
     RETURNING ${COLUMNS}`,
    [
      id,
      change.status,
      change.captureAskedMinor ?? 0,
      change.capturedMinor ?? 0,
      change.refundAskedMinor ?? 0,
      change.refundedMinor ?? 0,
      change.declineReason ?? null,
    ],
  );
  return row && toIntent(row);
}

export type OperationKind = "authorize" | "capture" | "void" | "refund";

/** One movement that the processor is asked for; its id is the key there, for ever. */
export interface Operation {
  readonly id: string;
  readonly intentId: string;
  readonly kind: OperationKind;
  readonly amountMinor: number;
  readonly state: "pending" | "done" | "refused" | "superseded";
  readonly attempts: number;
}

interface OperationRow {
  operation_id: string;
  intent_id: string;
  kind: OperationKind;
  amount_minor: number;
  state: Operation["state"];
  attempts: number;
}

const OPERATION = "operation_id, intent_id, kind, amount_minor, state, attempts";

function toOperation(row: OperationRow): Operation {
  return {
    id: row.operation_id,
    intentId: row.intent_id,
    kind: row.kind,
    amountMinor: row.amount_minor,
    state: row.state,
    attempts: row.attempts,
  };
}

/** The operation's id: the processor sees the same key however often it is asked. */
export function operationIdOf(intentId: string, kind: OperationKind, part = ""): string {
  return part === "" ? `${intentId}:${kind}` : `${intentId}:${kind}:${part}`;
}

/** Longer than a call to the processor may take; after it another process may take the operation. */
const CLAIM_SECONDS = 10;
/**
 * For a row that is found by its id. Said in this way, no index over `state` fits: PostgreSQL took that one, since few are ever
 * pending, and at SERIALIZABLE whoever reads all that is pending collides with everybody who adds to it.
 */
const IS_PENDING = "(state = 'pending') IS TRUE";

type NewOperation = Pick<Operation, "id" | "intentId" | "kind" | "amountMinor">;

/** Puts an operation into the queue, to be taken at once; nothing when it is there already. */
export async function insertOperation(tx: Tx, operation: NewOperation): Promise<void> {
  await tx.query(
    `INSERT INTO payments.operation (operation_id, intent_id, kind, amount_minor, state)
     VALUES ($1, $2, $3, $4, 'pending') ON CONFLICT (operation_id) DO NOTHING`,
    [operation.id, operation.intentId, operation.kind, operation.amountMinor],
  );
}

/** Writes operations that are taken for their first attempt already; answers those that were not there. Reads nothing, so it meets nobody. */
export async function insertClaimed(tx: Tx, operations: readonly NewOperation[]): Promise<Operation[]> {
  const rows = await tx.query<OperationRow>(
    `INSERT INTO payments.operation (operation_id, intent_id, kind, amount_minor, state, attempts, next_at)
     SELECT n.id, n.intent_id, n.kind, n.amount, 'pending', 1, now() + INTERVAL '${CLAIM_SECONDS} seconds'
     FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT8[]) AS n (id, intent_id, kind, amount)
     ON CONFLICT (operation_id) DO NOTHING RETURNING ${OPERATION}`,
    [
      operations.map(({ id }) => id),
      operations.map(({ intentId }) => intentId),
      operations.map(({ kind }) => kind),
      operations.map(({ amountMinor }) => amountMinor),
    ],
  );
  return rows.map(toOperation);
}

export async function findOperation(tx: Tx, id: string): Promise<Operation | undefined> {
  const [row] = await tx.query<OperationRow>(
    `SELECT ${OPERATION} FROM payments.operation WHERE operation_id = $1`,
    [id],
  );
  return row && toOperation(row);
}

/** Takes an operation for one attempt; undefined when it is not pending any more. */
export async function claimOperation(tx: Tx, id: string): Promise<Operation | undefined> {
  const [row] = await tx.query<OperationRow>(
    `UPDATE payments.operation SET attempts = attempts + 1, next_at = now() + INTERVAL '${CLAIM_SECONDS} seconds'
     WHERE operation_id = $1 AND ${IS_PENDING} RETURNING ${OPERATION}`,
    [id],
  );
  return row && toOperation(row);
}

/** Whether there is something to take: to be asked outside of a transaction, in which a look at the queue would meet everybody. */
export async function isAnyDue(tx: Tx): Promise<boolean> {
  const rows = await tx.query(
    "SELECT operation_id FROM payments.operation WHERE state = 'pending' AND next_at <= now() ORDER BY next_at LIMIT 1",
  );
  return rows.length > 0;
}

/** Takes what is due, at most `limit`; two replicas never take the same. */
export async function claimDue(tx: Tx, limit: number): Promise<Operation[]> {
  const rows = await tx.query<OperationRow>(
    `UPDATE payments.operation SET attempts = attempts + 1, next_at = now() + INTERVAL '${CLAIM_SECONDS} seconds'
     WHERE operation_id IN (SELECT operation_id FROM payments.operation WHERE state = 'pending' AND next_at <= now()
       ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING ${OPERATION}`,
    [limit],
  );
  return rows.map(toOperation);
}

export async function postponeOperation(tx: Tx, id: string, delayMs: number, reason: string): Promise<void> {
  await tx.query(
    `UPDATE payments.operation SET next_at = now() + $2::INT8 * INTERVAL '1 millisecond', reason = $3
     WHERE operation_id = $1 AND ${IS_PENDING}`,
    [id, delayMs, reason.slice(0, 200)],
  );
}

/** Ends an operation; false when it was ended before, so that its effect here happens once. */
export async function endOperation(
  tx: Tx,
  id: string,
  state: "done" | "refused" | "superseded",
  reason?: string,
): Promise<boolean> {
  const rows = await tx.query(
    `UPDATE payments.operation SET state = $2, done_at = now(), reason = COALESCE($3, reason)
     WHERE operation_id = $1 AND ${IS_PENDING} RETURNING operation_id`,
    [id, state, reason?.slice(0, 200) ?? null],
  );
  return rows.length === 1;
}

/** Ends operations well; answers the ids of those that were pending. */
export async function endOperations(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.query<{ operation_id: string }>(
    `UPDATE payments.operation SET state = 'done', done_at = now()
     WHERE operation_id = ANY($1::TEXT[]) AND ${IS_PENDING} RETURNING operation_id`,
    [ids],
  );
  return rows.map(({ operation_id }) => operation_id);
}

/** Which of these operations are pending, their rows locked until the transaction ends. */
export async function lockPending(tx: Tx, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.query<{ operation_id: string }>(
    `SELECT operation_id FROM payments.operation WHERE operation_id = ANY($1::TEXT[]) AND ${IS_PENDING}
     ORDER BY operation_id FOR UPDATE`,
    [ids],
  );
  return new Set(rows.map(({ operation_id }) => operation_id));
}

/** How many operations wait, and the age in seconds of the oldest. */
export async function waitingOperations(tx: Tx): Promise<{ waiting: number; oldestSeconds: number }> {
  const [row] = await tx.query<{ waiting: number; oldest: number }>(
    `SELECT count(*)::INT8 AS waiting, COALESCE(floor(extract(EPOCH FROM now() - min(created_at))), 0)::INT8 AS oldest
     FROM (SELECT created_at FROM payments.operation WHERE state = 'pending' ORDER BY next_at LIMIT 10000) AS o`,
  );
  return { waiting: row?.waiting ?? 0, oldestSeconds: row?.oldest ?? 0 };
}

/** Money of an intent as the contract shows it. */
export function moneyOf(intent: Intent, amountMinor: number): Money {
  return { amountMinor, currency: intent.currency };
}
