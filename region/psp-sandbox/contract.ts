import { z } from "zod";
import { moneySchema } from "../../platform/schemas.ts";

/** The merchant's own key for one movement of money: the same key is the same movement, for ever. */
export const keySchema = z.string().regex(/^[\x21-\x7e]{1,200}$/, "1 to 200 visible ASCII characters");
/** The merchant's own word for what a movement is about, such as an order id. */
export const referenceSchema = z
  .string()
  .regex(/^[\x20-\x7e]{1,120}$/, "1 to 120 ASCII characters, such as an order id");
export const merchantSchema = z.string().regex(/^[a-z0-9-]{1,63}$/, "the name of a center");

export const authorizationBody = z.object({
  key: keySchema,
  amount: moneySchema,
  method: z.string().regex(/^tok_[A-Za-z0-9_-]{1,64}$/, "a token such as tok_visa"),
  merchant: merchantSchema,
  reference: referenceSchema.optional(),
});
export type AuthorizationBody = z.infer<typeof authorizationBody>;

export const captureBody = z.object({ key: keySchema, authorizationKey: keySchema, amount: moneySchema });
export type CaptureBody = z.infer<typeof captureBody>;
/** A void of an authorization that never arrived closes its key: when it does arrive, it is answered as voided. */
export const voidBody = z.object({ key: keySchema, authorizationKey: keySchema, merchant: merchantSchema });
export type VoidBody = z.infer<typeof voidBody>;
/** Gives back what was captured under an authorization. */
export const refundBody = z.object({ key: keySchema, authorizationKey: keySchema, amount: moneySchema });
export type RefundBody = z.infer<typeof refundBody>;

/** One movement. `status` of an authorization: approved, declined or voided; of others: done. */
export const entrySchema = z.object({
  key: z.string(),
  kind: z.enum(["authorization", "capture", "void", "refund"]),
  status: z.enum(["approved", "declined", "voided", "done"]),
  authorizationKey: z.string(),
  merchant: z.string(),
  amount: moneySchema,
  reason: z.string().optional(),
  reference: z.string().optional(),
  at: z.string(),
});
export type Entry = z.infer<typeof entrySchema>;

/** `GET /v1/ledger?merchant=&reference=&cursor=`: oldest first; totals are over all that fits, not over the page. */
export const ledgerAnswer = z.object({
  entries: z.array(entrySchema),
  nextCursor: z.string().optional(),
  totals: z.object({
    authorizations: z.number().int(),
    declined: z.number().int(),
    voided: z.number().int(),
    captures: z.number().int(),
    refunds: z.number().int(),
    capturedMinor: z.number().int(),
    refundedMinor: z.number().int(),
    /** Approved, neither captured nor voided. */
    open: z.number().int(),
  }),
});
export type LedgerAnswer = z.infer<typeof ledgerAnswer>;

/**
 * Makes the processor fail on purpose. `down`: the connection is cut and nothing happens. `slow`: the answer takes 1.5 s.
 * `decline`: authorizations are declined. `timeout_after_effect`: it happens, and no answer comes.
 */
export const faultBody = z.object({
  kind: z.enum(["down", "slow", "decline", "timeout_after_effect"]),
  forSeconds: z.number().int().min(0).max(900),
  /** Share of the requests that are hit. */
  ratio: z.number().min(0).max(1).default(1),
});
export type FaultBody = z.infer<typeof faultBody>;
export const faultAnswer = z.object({ kind: z.string(), until: z.string() });

/**
 * What the processor tells a merchant of a movement, signed (`platform/webhook.ts`). It is told at least once, in any order, before
 * or after the answer to the request; the id is that of the event, the same in every delivery.
 */
export const notificationSchema = z.object({
  id: z.string().regex(/^evt_[A-Za-z0-9-]{1,64}$/, "an id such as evt_1"),
  type: z.enum([
    "authorization.approved",
    "authorization.declined",
    "authorization.voided",
    "capture.done",
    "void.done",
    "refund.done",
  ]),
  entry: entrySchema,
});
export type Notification = z.infer<typeof notificationSchema>;

/**
 * `POST /v1/manner`: how merchants are told from now on. Each event goes out `copies` times (0: not at all), each copy after `delayMs` and up to
 * `spreadMs` more by lot, which changes their order. `answerDelayMs` holds the answer to a request back after the movement is done, so
 * that the notification overtakes it.
 */
export const mannerBody = z.object({
  copies: z.number().int().min(0).max(5).default(1),
  delayMs: z.number().int().min(0).max(600_000).default(0),
  spreadMs: z.number().int().min(0).max(600_000).default(0),
  answerDelayMs: z.number().int().min(0).max(10_000).default(0),
});
export type Manner = z.output<typeof mannerBody>;
