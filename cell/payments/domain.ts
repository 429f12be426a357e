import type { IntentStatus } from "./contract.ts";

/** What can happen to the money of an order. */
export const INTENT_EVENTS = [
  "auth.ok",
  "auth.declined",
  "auth.unknown",
  "auth.voided",
  "void.asked",
  "void.done",
  "capture.asked",
  "capture.waits",
  "capture.part",
  "capture.done",
  "capture.refused",
  "refund.part",
  "refund.done",
] as const;
export type IntentEvent = (typeof INTENT_EVENTS)[number];

/** The whole machine: any pair that is not listed is refused. */
export const TRANSITIONS: Readonly<
  Record<IntentStatus, Readonly<Partial<Record<IntentEvent, IntentStatus>>>>
> = {
  authorising: {
    "auth.ok": "authorised",
    "auth.declined": "declined",
    "auth.unknown": "unknown",
    "auth.voided": "voided",
    "void.asked": "voiding",
  },
  unknown: {
    "auth.ok": "authorised",
    "auth.declined": "declined",
    "auth.unknown": "unknown",
    "auth.voided": "voided",
    "void.asked": "voiding",
  },
  authorised: { "void.asked": "voiding", "capture.asked": "capturing" },
  declined: {},
  capturing: {
    "capture.asked": "capturing",
    "capture.waits": "capture_queued",
    "capture.part": "capturing",
    "capture.done": "captured",
    "capture.refused": "expired",
  },
  capture_queued: {
    "capture.asked": "capture_queued",
    "capture.waits": "capture_queued",
    "capture.part": "capturing",
    "capture.done": "captured",
    "capture.refused": "expired",
  },
  captured: {
    "capture.asked": "capturing",
    "refund.part": "partially_refunded",
    "refund.done": "refunded",
  },
  // An answer to the authorization that comes after the wish to void changes nothing: the void is under way.
  voiding: {
    "auth.ok": "voiding",
    "auth.declined": "voiding",
    "auth.unknown": "voiding",
    "auth.voided": "voided",
    "void.asked": "voiding",
    "void.done": "voided",
  },
  voided: { "void.asked": "voided" },
  expired: {},
  partially_refunded: { "refund.part": "partially_refunded", "refund.done": "refunded" },
  refunded: {},
};

/** Where an event leads; undefined when it cannot happen there. */
export function next(status: IntentStatus, event: IntentEvent): IntentStatus | undefined {
  return TRANSITIONS[status][event];
}

/** What the one who asked for an authorization is told: three words and "no longer wanted". */
export function authorizationOf(status: IntentStatus): "authorised" | "declined" | "unknown" | "withdrawn" {
  switch (status) {
    case "authorising":
    case "unknown":
      return "unknown";
    case "declined":
      return "declined";
    case "voiding":
    case "voided":
    case "expired":
      return "withdrawn";
    case "authorised":
    case "capturing":
    case "capture_queued":
    case "captured":
    case "partially_refunded":
    case "refunded":
      return "authorised";
  }
}

const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 15_000;

/** Time until an operation is tried again: doubles with each attempt, spread so that a queue does not march in step. */
export function retryDelayMs(attempts: number, random: number): number {
  const ceilingMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(attempts, 10));
  return Math.round(ceilingMs * (0.5 + 0.5 * random));
}
