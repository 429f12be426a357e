import type { Money } from "../../platform/money.ts";

/** Every state of a shipment; the API's words come from `publicStatus`. */
export const STATES = [
  "created",
  "reserved",
  "confirmed",
  "picking",
  "substitution_pending",
  "picked",
  "packed",
  "courier_assigned",
  "out_for_delivery",
  "arrived",
  "returning",
  "cancelling",
  "delivered",
  "cancelled",
  "rejected",
  "payment_failed",
  "returned_to_center",
  "lost",
] as const;
export type OrderState = (typeof STATES)[number];

/** What can happen to a shipment. */
export const EVENTS = [
  "reserve.ok",
  "reserve.short",
  "auth.failed",
  "allocate.short",
  "confirm",
  "abandon",
  "pick.start",
  "short.ask",
  "substitution.resolved",
  "lines.resolved",
  "all.short",
  "pack.mismatch",
  "pack.ok",
  "offer.accepted",
  "courier.lost",
  "handover",
  "arrive",
  "proof",
  "no.customer",
  "center.scan",
  "parcel.lost",
  "cancel",
  "putback.done",
] as const;
export type OrderEvent = (typeof EVENTS)[number];

/** The whole machine: any pair that is not listed changes nothing. */
export const TRANSITIONS: Readonly<Record<OrderState, Readonly<Partial<Record<OrderEvent, OrderState>>>>> = {
  created: {
    "reserve.ok": "reserved",
    "reserve.short": "rejected",
    abandon: "rejected",
    cancel: "cancelled",
  },
  reserved: {
    confirm: "confirmed",
    "auth.failed": "payment_failed",
    "allocate.short": "rejected",
    abandon: "rejected",
    cancel: "cancelled",
  },
  confirmed: { "pick.start": "picking", cancel: "cancelled" },
  picking: {
    "short.ask": "substitution_pending",
    "lines.resolved": "picked",
    "all.short": "cancelled",
    cancel: "cancelling",
  },
  substitution_pending: { "substitution.resolved": "picking", cancel: "cancelling" },
  picked: { "pack.ok": "packed", "pack.mismatch": "picking", cancel: "cancelling" },
  packed: { "offer.accepted": "courier_assigned", cancel: "cancelling" },
  courier_assigned: { handover: "out_for_delivery", "courier.lost": "packed", cancel: "cancelling" },
  out_for_delivery: { arrive: "arrived", proof: "delivered", "parcel.lost": "lost" },
  arrived: { proof: "delivered", "no.customer": "returning", "parcel.lost": "lost" },
  returning: { "center.scan": "returned_to_center", "parcel.lost": "lost" },
  cancelling: { "putback.done": "cancelled" },
  delivered: {},
  cancelled: {},
  rejected: {},
  payment_failed: {},
  returned_to_center: {},
  lost: {},
};

export const TERMINAL: ReadonlySet<OrderState> = new Set(
  STATES.filter((state) => Object.keys(TRANSITIONS[state]).length === 0),
);

/** True while the floor has yet to deal with the order: what the queue's length is made of. */
export function isWaiting(state: OrderState): boolean {
  return PROGRESS[state] <= PROGRESS.picking;
}

/** How far along the good path a state is. */
const PROGRESS: Readonly<Record<OrderState, number>> = {
  created: 0,
  reserved: 1,
  confirmed: 2,
  picking: 3,
  substitution_pending: 3,
  picked: 4,
  packed: 5,
  courier_assigned: 6,
  out_for_delivery: 7,
  arrived: 8,
  returning: 9,
  cancelling: 9,
  delivered: 10,
  cancelled: 10,
  rejected: 10,
  payment_failed: 10,
  returned_to_center: 10,
  lost: 10,
};

export type Decision =
  | { readonly outcome: "applied"; readonly to: OrderState }
  /** The shipment is past the point where this could happen: acknowledged, no change. */
  | { readonly outcome: "stale" }
  /** A state in which this can happen may still come: topics are not ordered against each other. */
  | { readonly outcome: "too-early" };

/** The states that a shipment may still come to. */
function reachableFrom(state: OrderState): OrderState[] {
  const seen = new Set<OrderState>([state]);
  for (const one of seen) for (const next of Object.values(TRANSITIONS[one])) seen.add(next);
  seen.delete(state);
  return [...seen];
}

/** What an event does to a shipment in this state. Total: every pair has an outcome. */
export function decide(state: OrderState, event: OrderEvent): Decision {
  const to = TRANSITIONS[state][event];
  if (to !== undefined) return { outcome: "applied", to };
  if (TERMINAL.has(state)) return { outcome: "stale" };
  const mayComeBy = reachableFrom(state).some(
    (later) => TRANSITIONS[later][event] !== undefined && PROGRESS[later] > PROGRESS[state],
  );
  return { outcome: mayComeBy ? "too-early" : "stale" };
}

export type Effect = "capture" | "void" | "release";

/** What must happen outside once a shipment has come into a state. The saga compensates for what fails before `confirmed`. */
export function effectsOf(from: OrderState, to: OrderState): readonly Effect[] {
  if (to === "delivered") return ["capture"];
  if (to === "cancelled" && from === "confirmed") return ["release", "void"];
  // Stock that was touched is put back by the floor; only the money is ours here.
  if (to === "cancelled" && (from === "cancelling" || from === "picking")) return ["void"];
  if (to === "returned_to_center" || to === "lost") return ["void"];
  return [];
}

export const PAYMENT_STATUSES = [
  "none",
  "authorised",
  "declined",
  "captured",
  "voided",
  "partially_refunded",
  "refunded",
] as const;
export type PaymentStatus = (typeof PAYMENT_STATUSES)[number];

/** The twelve words that customers see. */
export const PUBLIC_STATUSES = [
  "created",
  "reserved",
  "picking",
  "packed",
  "courier_assigned",
  "out_for_delivery",
  "delivered",
  "cancelled",
  "refunded",
  "partially_fulfilled",
  "payment_failed",
  "rejected",
] as const;
export type PublicStatus = (typeof PUBLIC_STATUSES)[number];

const WORD: Readonly<Record<OrderState, PublicStatus>> = {
  created: "created",
  reserved: "reserved",
  confirmed: "reserved",
  picking: "picking",
  substitution_pending: "picking",
  picked: "picking",
  packed: "packed",
  courier_assigned: "courier_assigned",
  out_for_delivery: "out_for_delivery",
  arrived: "out_for_delivery",
  returning: "out_for_delivery",
  cancelling: "cancelled",
  delivered: "delivered",
  cancelled: "cancelled",
  rejected: "rejected",
  payment_failed: "payment_failed",
  returned_to_center: "cancelled",
  lost: "cancelled",
};

/** Derived, never stored: `refunded` comes from the payment, `partially_fulfilled` from short lines. */
export function publicStatus(
  state: OrderState,
  payment: PaymentStatus,
  hasShortLines: boolean,
): PublicStatus {
  if (payment === "refunded") return "refunded";
  if (state === "delivered" && hasShortLines) return "partially_fulfilled";
  return WORD[state];
}

export interface PricedLine {
  readonly sku: string;
  readonly quantity: number;
  readonly price: Money;
}

export interface ShortLine {
  readonly sku: string;
  readonly quantity: number;
}

/** What the customer owes: what was ordered less what the floor could not find. Minor units. */
export function amountDue(lines: readonly PricedLine[], short: readonly ShortLine[]): number {
  const missing = new Map<string, number>();
  for (const { sku, quantity } of short) missing.set(sku, (missing.get(sku) ?? 0) + quantity);
  let due = 0;
  for (const { sku, quantity, price } of lines) {
    const less = Math.min(quantity, missing.get(sku) ?? 0);
    missing.set(sku, (missing.get(sku) ?? 0) - less);
    due += (quantity - less) * price.amountMinor;
  }
  return due;
}
