import { createGroup } from "../../platform/group.ts";
import { type Failure, fail, isFailure } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { CaptureBody, IntentAnswer, IntentBody, RefundBody, ReviewBody } from "./contract.ts";
import { authorizationOf, next } from "./domain.ts";
import type { Operations } from "./operations.ts";
import type { Reviews } from "./reviews.ts";
import {
  changeIntent,
  claimOperation,
  endOperation,
  findIntent,
  findOperation,
  type Intent,
  insertIntent,
  insertOperation,
  lockIntent,
  moneyOf,
  type NewIntent,
  operationIdOf,
} from "./store.ts";
import { type Begun, beginAll } from "./together.ts";

export type IntentResult = { readonly ok: true; readonly intent: IntentAnswer } | Failure;

/** The use cases of payments. What is asked of the processor is written down before it is asked. */
export interface PaymentsService {
  authorize(body: IntentBody): Promise<IntentResult>;
  capture(intentId: string, body: CaptureBody): Promise<IntentResult>;
  void(intentId: string): Promise<IntentResult>;
  refund(intentId: string, body: RefundBody): Promise<IntentResult>;
  review(intentId: string, body: ReviewBody): Promise<IntentResult>;
  find(intentId: string): Promise<IntentResult>;
}

/** ISO 4217's code for tests: an intent that was voided before it was made has no currency of its own. */
const NO_CURRENCY = "XTS";
const UNKNOWN_INTENT = fail("not-found", "There is no such payment intent.");

/** Makes the use cases. */
export function createPaymentsService(deps: {
  readonly sql: Sql;
  readonly operations: Operations;
  readonly reviews: Reviews;
  /** How long a person may take to decide. */
  readonly reviewHours: number;
}): PaymentsService {
  const { sql, operations, reviews, reviewHours } = deps;

  /** An intent that is there already: takes its authorization for an attempt; nothing to attempt once the answer is known. */
  async function beginAgain(tx: Tx, body: IntentBody): Promise<Begun | undefined | Failure> {
    const found = await findIntent(tx, body.intentId);
    if (!found) throw new Error("an intent is there and cannot be read");
    if (found.orderId === "" || authorizationOf(found.status) === "withdrawn") return withdrawn(found);
    if (!isSame(found, body))
      return fail("idempotency-key-reused", "This intent is for something else; use a new intent id.");
    if (authorizationOf(found.status) !== "unknown") return undefined;
    const operation = await claimOperation(tx, operationIdOf(body.intentId, "authorize"));
    return operation && { operation, intent: found };
  }

  const begin = createGroup<NewIntent, Begun | undefined | Failure>({
    sql,
    run: (tx, bodies) => beginAll(tx, bodies, reviewHours, beginAgain),
  });

  async function find(intentId: string): Promise<IntentResult> {
    const intent = await findIntent(sql, intentId);
    return intent ? { ok: true, intent: toAnswer(intent) } : UNKNOWN_INTENT;
  }

  return {
    find,
    async authorize(body) {
      const begun = await begin({ ...body, assessment: await reviews.assess(body) });
      if (isFailure(begun)) return begun;
      const settled = begun && (await operations.attempt(begun.operation, begun.intent));
      const intent = settled ?? (await findIntent(sql, body.intentId));
      if (!intent) throw new Error("an intent is gone after it was authorised");
      const status = authorizationOf(intent.status);
      if (status === "withdrawn") return withdrawn(intent);
      return { ok: true, intent: { ...toAnswer(intent), status } };
    },
    capture: (intentId, { amount, captureId }) =>
      sql.transaction(async (tx): Promise<IntentResult> => {
        const intent = await lockIntent(tx, intentId);
        if (!intent) return UNKNOWN_INTENT;
        const id = operationIdOf(intentId, "capture", captureId);
        const asked = await askedBefore(tx, intent, id, amount.amountMinor);
        if (asked) return asked;
        const status = next(intent.status, "capture.asked");
        if (status === undefined) return wrongState(intent, "captured");
        if (isHeld(intent)) return held(intent);
        if (amount.currency !== intent.currency) return wrongCurrency(intent);
        const changed = await changeIntent(tx, intentId, { status, captureAskedMinor: amount.amountMinor });
        const leftMinor = intent.amountMinor - intent.captureAskedMinor;
        if (!changed) return tooMuch(`Only ${leftMinor} ${intent.currency} are left to capture.`, leftMinor);
        await insertOperation(tx, { id, intentId, kind: "capture", amountMinor: amount.amountMinor });
        return { ok: true, intent: toAnswer(changed) };
      }),
    async review(intentId, body) {
      const decided = await reviews.decide(intentId, body);
      return decided.ok ? { ok: true, intent: toAnswer(decided.intent) } : decided;
    },
    void: (intentId) =>
      sql.transaction(async (tx): Promise<IntentResult> => {
        const intent = await lockIntent(tx, intentId);
        if (!intent) return closeUnmade(tx, intentId);
        if (intent.status === "declined") return { ok: true, intent: toAnswer(intent) };
        const status = next(intent.status, "void.asked");
        if (status === undefined) return wrongState(intent, "voided");
        if (status === intent.status) return { ok: true, intent: toAnswer(intent) };
        const changed = await changeIntent(tx, intentId, { status });
        if (!changed) throw new Error(`intent ${intentId} cannot be voided for its amounts`);
        // From here on nobody sends the authorization again; one that is under way is closed by the void.
        await endOperation(tx, operationIdOf(intentId, "authorize"), "superseded");
        const id = operationIdOf(intentId, "void");
        await insertOperation(tx, { id, intentId, kind: "void", amountMinor: intent.amountMinor });
        return { ok: true, intent: toAnswer(changed) };
      }),
    refund: (intentId, { refundId, amount }) =>
      sql.transaction(async (tx): Promise<IntentResult> => {
        const intent = await lockIntent(tx, intentId);
        if (!intent) return UNKNOWN_INTENT;
        const id = operationIdOf(intentId, "refund", refundId);
        const asked = await askedBefore(tx, intent, id, amount.amountMinor);
        if (asked) return asked;
        if (amount.currency !== intent.currency) return wrongCurrency(intent);
        const leftMinor = intent.capturedMinor - intent.refundAskedMinor;
        const { status } = intent;
        const changed = await changeIntent(tx, intentId, { status, refundAskedMinor: amount.amountMinor });
        if (!changed) return tooMuch(`Only ${leftMinor} ${intent.currency} are left to refund.`, leftMinor);
        await insertOperation(tx, { id, intentId, kind: "refund", amountMinor: amount.amountMinor });
        return { ok: true, intent: toAnswer(changed) };
      }),
  };
}

/** A void that overtakes its authorization leaves a mark, so that the late one finds the intent closed. */
async function closeUnmade(tx: Tx, intentId: string): Promise<IntentResult> {
  const amount = { amountMinor: 0, currency: NO_CURRENCY };
  await insertIntent(tx, { intentId, orderId: "", method: "", amount }, "voided");
  const closed = await findIntent(tx, intentId);
  if (!closed) throw new Error("an intent was not there right after it was written");
  return { ok: true, intent: toAnswer(closed) };
}

/** The same command again: the same answer. Another amount under its id: a mistake of the caller's. */
async function askedBefore(
  tx: Tx,
  intent: Intent,
  operationId: string,
  amountMinor: number,
): Promise<IntentResult | undefined> {
  const found = await findOperation(tx, operationId);
  if (!found) return undefined;
  if (found.amountMinor === amountMinor) return { ok: true, intent: toAnswer(intent) };
  return fail("idempotency-key-reused", "This id was used with another amount; use a new one.");
}

function isSame(intent: Intent, body: IntentBody): boolean {
  return (
    intent.orderId === body.orderId &&
    intent.method === body.method &&
    intent.amountMinor === body.amount.amountMinor &&
    intent.currency === body.amount.currency
  );
}

function withdrawn(intent: Intent): Failure {
  return fail("conflict", `The payment is ${intent.status}: start again with a new intent.`, {
    status: intent.status,
  });
}

/** A person has to approve first, or has refused. */
function isHeld({ review }: Intent): boolean {
  return review === "open" || review === "refused";
}

function held({ review }: Intent): Failure {
  const sentence =
    review === "refused"
      ? "The payment was refused in its review: void it."
      : "A person has to look at this payment first: approve it, then capture.";
  return fail("conflict", sentence, { review });
}

function wrongState(intent: Intent, what: string): Failure {
  return fail("conflict", `A payment that is ${intent.status} cannot be ${what}.`, { status: intent.status });
}

function wrongCurrency(intent: Intent): Failure {
  return fail("unprocessable", `The payment is in ${intent.currency}.`);
}

function tooMuch(sentence: string, leftMinor: number): Failure {
  return fail("unprocessable", sentence, { leftMinor });
}

function toAnswer(intent: Intent): IntentAnswer {
  return {
    intentId: intent.id,
    orderId: intent.orderId,
    status: intent.status,
    amount: moneyOf(intent, intent.amountMinor),
    captured: moneyOf(intent, intent.capturedMinor),
    refunded: moneyOf(intent, intent.refundedMinor),
    ...(intent.declineReason === undefined ? {} : { declineReason: intent.declineReason }),
    review: isHeld(intent),
    reviewReasons: [...intent.reviewReasons],
  };
}
