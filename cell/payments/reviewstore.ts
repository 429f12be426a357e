import type { Tx } from "../../platform/sql.ts";
import type { ReviewBody, ReviewsAnswer, ReviewsQuery, Risk } from "./contract.ts";
import type { History } from "./risk.ts";
import { type Review, reasonsOf } from "./store.ts";

const NEW_HOURS = 24;

/** What is known of a customer; one statement by primary keys, to be run outside of a transaction. */
export async function readHistory(tx: Tx, { customer, address }: Risk): Promise<History> {
  const [row] = await tx.query<{ is_new: boolean | null; has_paid: boolean; has_paid_here: boolean }>(
    `SELECT (SELECT first_seen_at > now() - INTERVAL '${NEW_HOURS} hours' FROM payments.payer WHERE customer = $1) AS is_new,
       EXISTS (SELECT 1 FROM payments.paid_address WHERE customer = $1) AS has_paid,
       EXISTS (SELECT 1 FROM payments.paid_address WHERE customer = $1 AND address = $2) AS has_paid_here`,
    [customer, address],
  );
  // Never seen is new, too.
  return {
    isNew: row?.is_new ?? true,
    hasPaid: row?.has_paid ?? false,
    hasPaidHere: row?.has_paid_here ?? false,
  };
}

/** Notes when customers were seen for the first time. In one order always, so that two batches never wait for each other. */
export async function notePayers(tx: Tx, customers: readonly string[]): Promise<void> {
  if (customers.length === 0) return;
  await tx.query(
    "INSERT INTO payments.payer (customer) SELECT n.c FROM unnest($1::TEXT[]) AS n (c) ON CONFLICT (customer) DO NOTHING",
    [[...new Set(customers)].sort()],
  );
}

/** Notes that a payment of this customer for this address has been captured. */
export async function notePaid(tx: Tx, { customer, address }: Risk): Promise<void> {
  await tx.query(
    `INSERT INTO payments.paid_address (customer, address) VALUES ($1, $2) ON CONFLICT (customer, address) DO NOTHING`,
    [customer, address],
  );
}

const STATE = { approve: "approved", refuse: "refused" } as const;

/**
 * Decides a review that is open, with its money still authorised. `onlyDue`: and whose time is over. The new version of the intent, or
 * undefined when it is not so.
 */
export async function decideReview(
  tx: Tx,
  intentId: string,
  { decision, actor }: ReviewBody,
  onlyDue = false,
): Promise<{ orderId: string; version: number } | undefined> {
  const [row] = await tx.query<{ order_id: string; version: number }>(
    `UPDATE payments.intent SET review = $2, review_actor = $3, reviewed_at = now(), version = version + 1, updated_at = now()
     WHERE intent_id = $1 AND review = 'open' AND status = 'authorised' AND ($4::BOOL IS FALSE OR review_until <= now())
     RETURNING order_id, version`,
    [intentId, STATE[decision], actor, onlyDue],
  );
  return row && { orderId: row.order_id, version: row.version };
}

/** The state that a decision leads to. */
export function stateOf(decision: ReviewBody["decision"]): Review {
  return STATE[decision];
}

/** Intents whose review nobody has decided in time; to be asked outside of a transaction. */
export async function dueReviews(tx: Tx, limit: number): Promise<string[]> {
  const rows = await tx.query<{ intent_id: string }>(
    `SELECT intent_id FROM payments.intent WHERE review = 'open' AND status = 'authorised' AND review_until <= now()
     ORDER BY review_until LIMIT $1`,
    [limit],
  );
  return rows.map(({ intent_id }) => intent_id);
}

/** A page of open reviews whose money is authorised, those first that run out first. */
export async function readReviews(tx: Tx, { cursor, limit }: ReviewsQuery): Promise<ReviewsAnswer> {
  const at = cursor?.indexOf("|") ?? 0;
  const rows = await tx.query<{
    intent_id: string;
    order_id: string;
    amount_minor: number;
    currency: string;
    risk_score: number;
    risk_reasons: string | null;
    created_at: Date;
    review_until: Date;
    until_micros: number;
  }>(
    `SELECT intent_id, order_id, amount_minor, currency, risk_score, risk_reasons, created_at, review_until,
       (extract(EPOCH FROM review_until) * 1000000)::INT8 AS until_micros
     FROM payments.intent WHERE review = 'open' AND status = 'authorised' AND ($1::INT8 IS NULL
       OR (review_until, intent_id) > (TIMESTAMPTZ '1970-01-01 00:00:00+00' + $1::INT8 * INTERVAL '1 microsecond', $2::TEXT))
     ORDER BY review_until, intent_id LIMIT $3`,
    cursor === undefined ? [null, null, limit] : [cursor.slice(0, at), cursor.slice(at + 1), limit],
  );
  const last = rows.length === limit ? rows.at(-1) : undefined;
  const reviews = rows.map((row) => ({
    intentId: row.intent_id,
    orderId: row.order_id,
    amount: { amountMinor: row.amount_minor, currency: row.currency },
    score: row.risk_score,
    reasons: reasonsOf(row.risk_reasons),
    createdAt: row.created_at.toISOString(),
    until: row.review_until.toISOString(),
  }));
  return last ? { reviews, nextCursor: `${last.until_micros}|${last.intent_id}` } : { reviews };
}

/** How many reviews are open, counted up to a thousand. */
export async function openReviews(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ open: number }>(
    `SELECT count(*)::INT8 AS open FROM
       (SELECT 1 FROM payments.intent WHERE review = 'open' AND status = 'authorised' LIMIT 1000) AS o`,
  );
  return row?.open ?? 0;
}
