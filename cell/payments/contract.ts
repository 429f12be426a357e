import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { moneySchema } from "../../platform/schemas.ts";

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

/** `POST /internal/intents`. The same intent again gives the same answer; another body for it is refused with 422. */
export const intentBody = z.object({
  intentId: commandIdSchema,
  orderId: z.string().regex(/^[\x21-\x7e]{1,120}$/, "1 to 120 visible ASCII characters"),
  amount: moneySchema,
  method: paymentMethodSchema,
});
export type IntentBody = z.infer<typeof intentBody>;

/** Amounts are in minor units of `amount.currency`. */
export const intentAnswer = z.object({
  intentId: z.string(),
  orderId: z.string(),
  status: intentStatusSchema,
  amount: moneySchema,
  captured: moneySchema,
  refunded: moneySchema,
  declineReason: z.string().optional(),
});
export type IntentAnswer = z.infer<typeof intentAnswer>;

/** Taken on once and for all: it is done when the processor can be reached. `captureId` tells partial captures apart. */
export const captureBody = z.object({
  amount: moneySchema,
  captureId: commandIdSchema.optional(),
});
export type CaptureBody = z.infer<typeof captureBody>;
export const refundBody = z.object({ refundId: commandIdSchema, amount: moneySchema });
export type RefundBody = z.infer<typeof refundBody>;

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
