import type { DomainEvent } from "../../platform/events.ts";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import type { Tx } from "../../platform/sql.ts";
import {
  orderCancelled,
  orderCancelling,
  orderDelivered,
  orderPaymentFailed,
  orderRejected,
} from "./contract.ts";
import type { ShortLine } from "./domain.ts";
import { decide, effectsOf, type OrderEvent, type OrderState } from "./domain.ts";
import { addEffects } from "./effects.ts";
import { announceReviewed } from "./review.ts";
import { appendLog, lockOrder, type Order, saveShortLines, saveState, wasApplied } from "./store.ts";

/** One request to move an order. `eventId` makes it happen once. */
export interface Transition {
  readonly orderId: string;
  readonly event: OrderEvent;
  readonly eventId: string;
  /** A slice or a role, never a person's name. */
  readonly actor: string;
  /** Lines that the floor could not find, with `lines.resolved` and `all.short`. */
  readonly short?: readonly ShortLine[];
}

export type TransitionOutcome = "applied" | "stale" | "too-early" | "unknown-order";

/** Events that orders tells the cell about when a state is reached; `confirmed` is told by the saga, which knows the bins. */
const ANNOUNCED: Readonly<Partial<Record<OrderState, string>>> = {
  cancelling: orderCancelling.type,
  cancelled: orderCancelled.type,
  delivered: orderDelivered.type,
  payment_failed: orderPaymentFailed.type,
  rejected: orderRejected.type,
};

/**
 * Moves one order: state, log, effects and outbox in the caller's transaction. What is too early is parked, with the event that `park`
 * is, and tried again after each move of this order.
 */
export async function transition(
  tx: Tx,
  request: Transition,
  options: { park: DomainEvent | false; log: Logger },
): Promise<{ outcome: TransitionOutcome; order?: Order }> {
  // One round trip: only who has the lock parks something for an order.
  const [order, parked] = await Promise.all([
    lockOrder(tx, request.orderId),
    haveParked(tx, [request.orderId]),
  ]);
  if (!order) return { outcome: "unknown-order" };
  const decision = decide(order.state, request.event);
  if (decision.outcome !== "applied") {
    if (await wasApplied(tx, request.orderId, request.eventId)) return { outcome: "applied", order };
    await appendLog(tx, order.id, request.eventId, {
      version: order.version,
      event: request.event,
      from: order.state,
      to: order.state,
      outcome: decision.outcome,
      actor: request.actor,
    });
    if (decision.outcome === "too-early" && options.park) await park(tx, request, options.park);
    return { outcome: decision.outcome, order };
  }
  let moved = await apply(tx, order, request, decision.to);
  if (parked.size === 0) return { outcome: "applied", order: moved };
  for (;;) {
    const next = await unpark(tx, moved);
    if (!next) return { outcome: "applied", order: moved };
    moved = next;
  }
}

async function apply(tx: Tx, order: Order, request: Transition, to: OrderState): Promise<Order> {
  const version = order.version + 1;
  const { event, eventId, actor } = request;
  const entry = { version, event, from: order.state, to, outcome: "applied", actor } as const;
  // The same event again, in a state that would take it a second time.
  if (!(await appendLog(tx, order.id, eventId, entry))) return order;
  const type = ANNOUNCED[to];
  const data = { orderId: order.id, from: order.state };
  await Promise.all([
    saveState(tx, order.id, to, version),
    request.short && saveShortLines(tx, order.id, request.short),
    addEffects(tx, order.id, effectsOf(order.state, to)),
    type !== undefined && appendEvent(tx, "orders", { type, subject: order.id, version, data }),
  ]);
  const moved = { ...order, state: to, version, shortLines: request.short ?? order.shortLines };
  if (event === "review.pass") await announceReviewed(tx, moved);
  return moved;
}

async function park(tx: Tx, request: Transition, message: DomainEvent): Promise<void> {
  await tx.query(
    `INSERT INTO orders.parked_event (event_id, order_id, event, actor, details) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (event_id) DO NOTHING`,
    [
      request.eventId,
      request.orderId,
      request.event,
      request.actor,
      JSON.stringify({ short: request.short, message } satisfies ParkedDetails),
    ],
  );
}

/** `message` is the event as it came, for the dead letters. */
export interface ParkedDetails {
  readonly short?: readonly ShortLine[] | undefined;
  readonly message: DomainEvent;
}

interface ParkedRow {
  event_id: string;
  event: OrderEvent;
  actor: string;
  details: ParkedDetails;
}

/** Those of these orders for which something is parked. */
export async function haveParked(tx: Tx, orderIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.query<{ order_id: string }>(
    "SELECT DISTINCT order_id FROM orders.parked_event WHERE order_id = ANY($1::TEXT[])",
    [orderIds],
  );
  return new Set(rows.map(({ order_id }) => order_id));
}

/** Applies the oldest parked event that fits now; drops those that have become stale. Undefined when none fits. */
async function unpark(tx: Tx, order: Order): Promise<Order | undefined> {
  const rows = await tx.query<ParkedRow>(
    "SELECT event_id, event, actor, details FROM orders.parked_event WHERE order_id = $1 ORDER BY parked_at LIMIT 50",
    [order.id],
  );
  for (const row of rows) {
    const decision = decide(order.state, row.event);
    if (decision.outcome === "too-early") continue;
    await tx.query("DELETE FROM orders.parked_event WHERE event_id = $1", [row.event_id]);
    if (decision.outcome === "stale") continue;
    const request: Transition = {
      orderId: order.id,
      event: row.event,
      eventId: row.event_id,
      actor: row.actor,
      ...(row.details.short ? { short: row.details.short } : {}),
    };
    return apply(tx, order, request, decision.to);
  }
  return undefined;
}
