import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { moneySchema, timeSchema } from "../../platform/schemas.ts";

/** The id that makes a command repeatable: same id, same answer, one effect at the processor. */
export const commandIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,119}$/, "use 1 to 120 letters, digits or . _ : -");

/** A reference that the processor has issued; never a card number. */
export const paymentMethodSchema = z
  .string()
  .regex(/^tok_[A-Za-z0-9_-]{1,64}$/, "a token of the payment processor, such as tok_visa");

export const INTENT_STATUSES = [
  "authorising",
  "authorised",
  "declined",
  "unknown",
  "capturing",
  "capture_queued",
  "captured",
  "voiding",
  "voided",
  "expired",
  "partially_refunded",
  "refunded",
] as const;
/** Where the money of one order is. */
export const intentStatusSchema = z.enum(INTENT_STATUSES);
export type IntentStatus = z.infer<typeof intentStatusSchema>;

/** Money that moves: an amount of nothing is a mistake of the caller's. */
const movedMoneySchema = moneySchema.extend({ amountMinor: moneySchema.shape.amountMinor.min(1) });

const digestSchema = z.string().regex(/^[\x21-\x7e]{1,128}$/, "1 to 128 visible ASCII characters");
/** Who pays and where it goes, as keyed digests: they tell whether it is the same again, and nothing else. */
export const riskSchema = z.object({ customer: digestSchema, address: digestSchema });
export type Risk = z.infer<typeof riskSchema>;

/** `POST /internal/intents`. The same intent again gives the same answer; another body for it is refused with 422. */
export const intentBody = z.object({
  intentId: commandIdSchema,
  orderId: z.string().regex(/^[\x21-\x7e]{1,120}$/, "1 to 120 visible ASCII characters"),
  amount: moneySchema,
  method: paymentMethodSchema,
  risk: riskSchema.optional(),
});
export type IntentBody = z.infer<typeof intentBody>;

export const REVIEW_REASONS = ["high-value", "new-account", "address-mismatch"] as const;
/** What speaks for a look by a person. */
export const reviewReasonSchema = z.enum(REVIEW_REASONS);
export type ReviewReason = z.infer<typeof reviewReasonSchema>;

/**
 * Amounts are in minor units of `amount.currency`. `review`: the money is authorised, and nothing may be captured unless a person
 * approves; `reviewReasons` says why.
 */
export const intentAnswer = z.object({
  intentId: z.string(),
  orderId: z.string(),
  status: intentStatusSchema,
  amount: moneySchema,
  captured: moneySchema,
  refunded: moneySchema,
  declineReason: z.string().optional(),
  review: z.boolean(),
  reviewReasons: z.array(reviewReasonSchema),
});
export type IntentAnswer = z.infer<typeof intentAnswer>;

/** Taken on once and for all: it is done when the processor can be reached. `captureId` tells partial captures apart. */
export const captureBody = z.object({
  amount: movedMoneySchema,
  captureId: commandIdSchema.optional(),
});
export type CaptureBody = z.infer<typeof captureBody>;
export const refundBody = z.object({ refundId: commandIdSchema, amount: movedMoneySchema });
export type RefundBody = z.infer<typeof refundBody>;

/** `POST /internal/intents/:intentId/review`. Decided once: the same decision again is the same answer, the other one is refused. */
export const reviewBody = z.object({
  decision: z.enum(["approve", "refuse"]),
  actor: z.string().regex(/^[\x21-\x7e]{1,64}$/, "1 to 64 visible ASCII characters, such as a user's id"),
});
export type ReviewBody = z.infer<typeof reviewBody>;

/** `GET /internal/reviews?cursor=&limit=`: open ones, those first that run out first. */
export const reviewsQuery = z.object({
  cursor: z
    .string()
    .regex(/^\d{1,16}\|[\x21-\x7e]{1,120}$/, "the nextCursor of the last page")
    .optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type ReviewsQuery = z.infer<typeof reviewsQuery>;
/** `score` adds up what speaks for a look; at `until` an undecided one is refused by itself. */
export const reviewsAnswer = z.object({
  reviews: z.array(
    z.object({
      intentId: z.string(),
      orderId: z.string(),
      amount: moneySchema,
      score: z.int(),
      reasons: z.array(reviewReasonSchema),
      createdAt: timeSchema,
      until: timeSchema,
    }),
  ),
  nextCursor: z.string().optional(),
});
export type ReviewsAnswer = z.infer<typeof reviewsAnswer>;

/** What became of a notification of the processor. `unknown`: it is about nothing that was asked for here. */
export const notificationAnswer = z.object({
  outcome: z.enum(["applied", "known", "unknown"]),
});
export type NotificationAnswer = z.infer<typeof notificationAnswer>;

const movementData = z.object({ orderId: z.string(), intentId: z.string(), amount: moneySchema });
export type PaymentEventData = z.infer<typeof movementData>;

/** Subject of all events = order id. `amount` is what this event moved. */
export const paymentAuthorised = eventOf("payments.authorised.v1", movementData);
export const paymentDeclined = eventOf(
  "payments.declined.v1",
  movementData.extend({ reason: z.string().optional() }),
);
export const paymentCaptured = eventOf("payments.captured.v1", movementData);
export const paymentVoided = eventOf("payments.voided.v1", movementData);
/** `total` is what has been given back in all. */
export const paymentRefunded = eventOf("payments.refunded.v1", movementData.extend({ total: moneySchema }));

/** A held authorization has been decided upon, once. `actor` is `timeout` when nobody did in time. */
export const paymentReviewDecided = eventOf(
  "payments.review_decided.v1",
  z.object({
    orderId: z.string(),
    intentId: z.string(),
    decision: z.enum(["approve", "refuse"]),
    actor: z.string(),
  }),
);
