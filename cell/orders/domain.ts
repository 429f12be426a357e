import type { Money } from "../../platform/money.ts";

/** Every state of a shipment; the API's words come from `publicStatus`. */
export const STATES = [
  "created",
  "reserved",
  "review",
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
  "review.ask",
  "review.pass",
  "review.refuse",
  "lines.cancel",
  "delivery.change",
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
    "review.ask": "review",
    "auth.failed": "payment_failed",
    "allocate.short": "rejected",
    abandon: "rejected",
    cancel: "cancelled",
  },
  // A person looks at the payment before the floor is told: stock is allocated and money authorised, so both ways out are short.
  review: {
    "review.pass": "confirmed",
    "review.refuse": "cancelled",
    "lines.cancel": "review",
    "delivery.change": "review",
    cancel: "cancelled",
  },
  confirmed: {
    "pick.start": "picking",
    "lines.cancel": "confirmed",
    "delivery.change": "confirmed",
    cancel: "cancelled",
  },
  picking: {
    "lines.cancel": "picking",
    "short.ask": "substitution_pending",
    "lines.resolved": "picked",
    "all.short": "cancelled",
    cancel: "cancelling",
  },
  substitution_pending: {
    "substitution.resolved": "picking",
    "lines.cancel": "substitution_pending",
    cancel: "cancelling",
  },
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
  review: 2,
  confirmed: 3,
  picking: 4,
  substitution_pending: 4,
  picked: 5,
  packed: 6,
  courier_assigned: 7,
  out_for_delivery: 8,
  arrived: 9,
  returning: 10,
  cancelling: 10,
  delivered: 11,
  cancelled: 11,
  rejected: 11,
  payment_failed: 11,
  returned_to_center: 11,
  lost: 11,
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
  if (to === "cancelled" && (from === "confirmed" || from === "review")) return ["release", "void"];
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
  review: "reserved",
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

/** Units by SKU; several lines of one SKU count together. */
export function unitsOf(lines: readonly ShortLine[]): Map<string, number> {
  const units = new Map<string, number>();
  for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
  return units;
}

/** What is left of some lines without others, by SKU; what would be nothing or less is not listed. */
export function without(
  lines: readonly ShortLine[],
  ...taken: readonly (readonly ShortLine[])[]
): ShortLine[] {
  const less = unitsOf(taken.flat());
  return [...unitsOf(lines)]
    .map(([sku, quantity]) => ({ sku, quantity: quantity - (less.get(sku) ?? 0) }))
    .filter(({ quantity }) => quantity > 0);
}

/** What the customer owes: what was ordered less what was cancelled and what the floor could not find. Minor units. */
export function amountDue(lines: readonly PricedLine[], ...less: readonly (readonly ShortLine[])[]): number {
  const missing = unitsOf(less.flat());
  let due = 0;
  for (const { sku, quantity, price } of lines) {
    const less = Math.min(quantity, missing.get(sku) ?? 0);
    missing.set(sku, (missing.get(sku) ?? 0) - less);
    due += (quantity - less) * price.amountMinor;
  }
  return due;
}

/** The life of goods that come back. `held`: inventory or payments has refused, a person has to look. */
export const RETURN_STATES = [
  "requested",
  "received",
  "inspected",
  "closed",
  "rejected",
  "expired",
  "held",
] as const;
export type ReturnState = (typeof RETURN_STATES)[number];
export const RETURN_EVENTS = ["receive", "inspect", "reject", "close", "hold", "expire"] as const;
export type ReturnEvent = (typeof RETURN_EVENTS)[number];

/** Any pair that is not listed changes nothing. */
export const RETURN_TRANSITIONS: Readonly<
  Record<ReturnState, Readonly<Partial<Record<ReturnEvent, ReturnState>>>>
> = {
  requested: { receive: "received", expire: "expired" },
  received: { inspect: "inspected", reject: "rejected" },
  inspected: { close: "closed", hold: "held" },
  closed: {},
  rejected: {},
  expired: {},
  held: {},
};

/** What an event does to a return, with the same three outcomes as for an order. */
export function decideReturn(
  state: ReturnState,
  event: ReturnEvent,
):
  | { readonly outcome: "applied"; readonly to: ReturnState }
  | { readonly outcome: "stale" }
  | { readonly outcome: "too-early" } {
  const to = RETURN_TRANSITIONS[state][event];
  if (to !== undefined) return { outcome: "applied", to };
  const isAhead = (from: ReturnState): boolean =>
    Object.values(RETURN_TRANSITIONS[from]).some(
      (next) => RETURN_TRANSITIONS[next][event] !== undefined || isAhead(next),
    );
  return { outcome: isAhead(state) ? "too-early" : "stale" };
}

/** What these units cost at the prices of the order, never more than there is of each. Minor units. */
export function worthOf(lines: readonly PricedLine[], units: readonly ShortLine[]): number {
  return amountDue(lines) - amountDue(lines, units);
}
