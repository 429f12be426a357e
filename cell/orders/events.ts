import { z } from "zod";
import type { DomainEvent } from "../../platform/events.ts";
import type { Subscription } from "../../platform/inbox.ts";
import type { Logger } from "../../platform/log.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import { moneySchema } from "../../platform/schemas.ts";
import type { Tx } from "../../platform/sql.ts";
import { type OrderEvent, type PaymentStatus, without } from "./domain.ts";
import { dueOf, findOrder, type Order, savePaymentStatus } from "./store.ts";
import { transition } from "./transitions.ts";

/** What orders reads of other slices' events: less than they carry, so that they may grow. */
const aboutOrder = z.looseObject({ orderId: z.string() });
const picked = z.looseObject({
  orderId: z.string(),
  short: z.array(z.looseObject({ sku: z.string(), quantity: z.int() })).optional(),
});
const packed = z.looseObject({
  orderId: z.string(),
  lines: z.array(z.looseObject({ sku: z.string(), quantity: z.int() })).optional(),
});

const decided = z.looseObject({ orderId: z.string(), decision: z.enum(["approve", "refuse"]) });
const REVIEW_DECIDED = "payments.review_decided.v1";

const refunded = z.looseObject({ total: moneySchema.optional() });

/** The consumers that park what is too early. */
export const FLOOR_CONSUMER = "orders-floor";
export const ROAD_CONSUMER = "orders-road";
export const REVIEW_CONSUMER = "orders-review";

/** Which event of another slice moves an order by which event of the machine. */
const MOVES: Readonly<Record<string, OrderEvent>> = {
  "fulfillment.picking_started.v1": "pick.start",
  "fulfillment.picked.v1": "lines.resolved",
  "fulfillment.packed.v1": "pack.ok",
  "fulfillment.putback_done.v1": "putback.done",
  "dispatch.assigned.v1": "offer.accepted",
  "dispatch.unassigned.v1": "courier.lost",
  "dispatch.handed_over.v1": "handover",
  "dispatch.arrived.v1": "arrive",
  "dispatch.delivered.v1": "proof",
};

const PAYMENT_MOVES: Readonly<Record<string, PaymentStatus>> = {
  "payments.captured.v1": "captured",
  "payments.voided.v1": "voided",
  "payments.refunded.v1": "refunded",
  "payments.declined.v1": "declined",
};

/** How far a payment has gone: its events may come twice and late, and the status never goes back. */
const PAYMENT_RANK: Readonly<Record<PaymentStatus, number>> = {
  none: 0,
  authorised: 1,
  declined: 2,
  voided: 2,
  captured: 3,
  partially_refunded: 4,
  refunded: 5,
};

/** Turns what other slices say into moves of the order. */
export function createSubscriptions(log: Logger): Subscription[] {
  async function moveOrder(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored" | Failure> {
    const { orderId } = aboutOrder.parse(event.data);
    const machineEvent = machineEventOf(event);
    if (!machineEvent) return "ignored";
    const short = await shortLinesOf(tx, event, orderId);
    const { outcome } = await transition(
      tx,
      {
        orderId,
        event: machineEvent,
        eventId: event.id,
        actor: event.source.split("/").at(-1) ?? "unknown",
        ...(short.length > 0 ? { short } : {}),
      },
      { park: event, log },
    );
    if (outcome === "unknown-order") return fail("not-found", `there is no order ${orderId}`);
    return outcome === "applied" ? "applied" : "ignored";
  }

  async function movePayment(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored" | Failure> {
    const { orderId } = aboutOrder.parse(event.data);
    const order = await findOrder(tx, orderId);
    if (!order) return fail("not-found", `there is no order ${orderId}`);
    const status = isPartRefund(event, order) ? "partially_refunded" : PAYMENT_MOVES[event.type];
    if (!status || PAYMENT_RANK[status] <= PAYMENT_RANK[order.paymentStatus]) return "ignored";
    await savePaymentStatus(tx, orderId, status);
    return "applied";
  }

  const types = (from: string) => Object.keys(MOVES).filter((type) => type.startsWith(`${from}.`));
  return [
    { consumer: FLOOR_CONSUMER, from: "fulfillment", types: types("fulfillment"), handle: moveOrder },
    { consumer: ROAD_CONSUMER, from: "dispatch", types: types("dispatch"), handle: moveOrder },
    { consumer: REVIEW_CONSUMER, from: "payments", types: [REVIEW_DECIDED], handle: moveOrder },
    { consumer: "orders-money", from: "payments", types: Object.keys(PAYMENT_MOVES), handle: movePayment },
  ];
}

/** Less has been given back in all than was taken. */
function isPartRefund(event: DomainEvent, order: Order): boolean {
  if (event.type !== "payments.refunded.v1") return false;
  const { total } = refunded.parse(event.data);
  return total !== undefined && total.amountMinor < dueOf(order);
}

/** A list on which nothing could be picked ends the order instead of moving it on. */
function machineEventOf(event: DomainEvent): OrderEvent | undefined {
  if (event.type === REVIEW_DECIDED)
    return decided.parse(event.data).decision === "approve" ? "review.pass" : "review.refuse";
  if (event.type !== "fulfillment.picked.v1") return MOVES[event.type];
  const data = event.data as { nothingPicked?: boolean };
  return data.nothingPicked === true ? "all.short" : "lines.resolved";
}

async function shortLinesOf(
  tx: Tx,
  event: DomainEvent,
  orderId: string,
): Promise<{ sku: string; quantity: number }[]> {
  if (event.type === "fulfillment.picked.v1")
    return (picked.parse(event.data).short ?? []).map(({ sku, quantity }) => ({ sku, quantity }));
  if (event.type !== "fulfillment.packed.v1") return [];
  const { lines } = packed.parse(event.data);
  const order = lines && (await findOrder(tx, orderId));
  if (!lines || !order) return [];
  return without(order.lines, order.cancelledLines, lines);
}
