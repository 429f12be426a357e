import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import {
  type IntentBody,
  paymentReviewDecided,
  type ReviewBody,
  type ReviewsAnswer,
  type ReviewsQuery,
} from "./contract.ts";
import { decideReview, dueReviews, readHistory, readReviews, stateOf } from "./reviewstore.ts";
import { type Assessment, assess, needsHistory, type RiskPolicy } from "./risk.ts";
import { findIntent, type Intent, SCHEMA } from "./store.ts";

export interface ReviewsDeps {
  readonly sql: Sql;
  readonly policy: RiskPolicy;
}

/** Payments that a person looks at first. */
export interface Reviews {
  /** What speaks for a look; undefined when the caller has named nobody. */
  assess(body: IntentBody): Promise<Assessment | undefined>;
  list(query: ReviewsQuery): Promise<ReviewsAnswer>;
  /** Decides once; the same decision again is the same answer. */
  decide(
    intentId: string,
    body: ReviewBody,
  ): Promise<{ readonly ok: true; readonly intent: Intent } | Failure>;
  /** Refuses what nobody has decided in time; answers how many that were. */
  refuseDue(): Promise<number>;
}

const BATCH = 50;

/** Makes the reviews of a center. */
export function createReviews({ sql, policy }: ReviewsDeps): Reviews {
  /** Decision and event in one transaction; false when there was nothing to decide. */
  function apply(intentId: string, body: ReviewBody, onlyDue: boolean): Promise<boolean> {
    return sql.transaction(async (tx) => {
      const decided = await decideReview(tx, intentId, body, onlyDue);
      if (!decided) return false;
      const { orderId, version } = decided;
      await appendEvent(tx, SCHEMA, {
        type: paymentReviewDecided.type,
        subject: orderId,
        version,
        data: paymentReviewDecided.parse({ orderId, intentId, ...body }),
      });
      return true;
    });
  }

  return {
    async assess({ amount, risk }) {
      if (!risk) return undefined;
      const history = needsHistory(amount, policy) ? await readHistory(sql, risk) : undefined;
      return assess(amount, history, policy);
    },
    list: (query) => readReviews(sql, query),
    async decide(intentId, body) {
      const isDecided = await apply(intentId, body, false);
      const intent = await findIntent(sql, intentId);
      if (!intent) return fail("not-found", "There is no such payment intent.");
      return isDecided || intent.review === stateOf(body.decision) ? { ok: true, intent } : whyNot(intent);
    },
    async refuseDue() {
      const due = await dueReviews(sql, BATCH);
      for (const intentId of due) await apply(intentId, { decision: "refuse", actor: "timeout" }, true);
      return due.length;
    },
  };
}

function whyNot({ review, status }: Intent): Failure {
  const extra = review === undefined ? {} : { review };
  if (review === undefined) return fail("conflict", "Nobody has to look at this payment.", extra);
  if (review === "open")
    return fail("too-early", `The payment is ${status}: decide when it is authorised.`, extra);
  if (review === "closed")
    return fail("conflict", `The payment is ${status}: there is nothing to decide.`, extra);
  return fail("conflict", `It was ${review} already, and that stands.`, extra);
}
