import type { Logger } from "../../platform/log.ts";
import { appendEvent, appendEvents } from "../../platform/outbox.ts";
import type { Ended } from "../../platform/saga.ts";
import type { Tx } from "../../platform/sql.ts";
import { decide, type OrderEvent, type OrderState } from "./domain.ts";
import type { Placing } from "./placing.ts";
import { confirmedEvent, saveReview } from "./review.ts";
import { appendLogs, lockOrders, type NewLogEntry, type Order, saveAuthorised, saveMoves } from "./store.ts";
import { haveParked, transition } from "./transitions.ts";

/** An order on its way to `confirmed` with the moves that take it there. */
interface Way {
  readonly order: Order;
  readonly moves: readonly {
    readonly event: OrderEvent;
    readonly from: OrderState;
    readonly to: OrderState;
  }[];
}

const ACTOR = "orders";

/**
 * Confirms orders whose sagas have come to their end, all in the statements of one. An order for which something waits, or that is not
 * where it should be, goes the way of every other transition.
 */
export async function confirmAll(tx: Tx, ended: readonly Ended<Placing>[], log: Logger): Promise<void> {
  const ids = ended.map(({ id }) => id);
  const [locked, waiting] = await Promise.all([lockOrders(tx, ids), haveParked(tx, ids)]);
  const orders = new Map(locked.map((order) => [order.id, order]));
  const reviewed = new Set(ended.filter(({ state }) => state.needsReview).map(({ id }) => id));
  const ways = new Map<string, Way>();
  for (const order of orders.values()) {
    const way = waiting.has(order.id) || reviewed.has(order.id) ? undefined : wayOf(order);
    if (way) ways.set(order.id, way);
  }
  const taking = take(tx, [...ways.values()]);
  const telling = appendEvents(
    tx,
    "orders",
    ended.flatMap(({ id, state, traceparent }) => {
      const way = ways.get(id);
      return way ? [{ ...confirmedEvent(moved(way), state.allocated), traceparent }] : [];
    }),
  );
  await Promise.all([taking, telling]);
  for (const { id, state } of ended) if (!ways.has(id)) await confirmOne(tx, id, state, log);
}

/** Undefined for an order that is not being placed. */
function wayOf(order: Order): Way | undefined {
  const events: OrderEvent[] = order.state === "created" ? ["reserve.ok", "confirm"] : ["confirm"];
  const moves: Way["moves"][number][] = [];
  let from = order.state;
  for (const event of events) {
    const decision = decide(from, event);
    if (decision.outcome !== "applied") return undefined;
    moves.push({ event, from, to: decision.to });
    from = decision.to;
  }
  return { order, moves };
}

function moved({ order, moves }: Way): Order {
  return { ...order, state: moves.at(-1)?.to ?? order.state, version: order.version + moves.length };
}

async function take(tx: Tx, ways: readonly Way[]): Promise<void> {
  if (ways.length === 0) return;
  const entries = ways.flatMap(({ order, moves }) =>
    moves.map(
      ({ event, from, to }, index): NewLogEntry => ({
        ...{ orderId: order.id, eventId: `${order.id}:${event}`, version: order.version + index + 1 },
        ...{ event, from, to, outcome: "applied", actor: ACTOR },
      }),
    ),
  );
  const logging = appendLogs(tx, entries);
  const moving = saveMoves(
    tx,
    ways.map((way) => ({ ...moved(way), paymentStatus: "authorised" as const })),
  );
  const [logged] = await Promise.all([logging, moving]);
  if (logged.length !== entries.length)
    throw new Error("an order that is being placed has a move in its log that it has not made");
}

/** Moves the order past `reserved`, if the hold was not written down yet, and on to `confirmed`, or to who looks at its payment. */
async function confirmOne(tx: Tx, orderId: string, state: Placing, log: Logger): Promise<void> {
  await noteHold(tx, orderId, log);
  const event = state.needsReview ? "review.ask" : "confirm";
  // Before the move: a decision that came early is applied with it.
  if (state.needsReview) await saveReview(tx, orderId, state.allocated ?? []);
  await saveAuthorised(tx, orderId);
  const eventId = `${orderId}:${event}`;
  const done = await transition(tx, { orderId, event, eventId, actor: ACTOR }, { park: false, log });
  if (!done.order || done.outcome !== "applied")
    throw new Error(`order ${orderId} cannot be confirmed: ${done.outcome}`);
  if (!state.needsReview) await appendEvent(tx, "orders", confirmedEvent(done.order, state.allocated));
}

/** Says in the order that its stock is held: the saga has known it since the hold, and writes it with its end. */
export async function noteHold(tx: Tx, orderId: string, log: Logger): Promise<void> {
  const [order] = await lockOrders(tx, [orderId]);
  if (order?.state !== "created") return;
  const eventId = `${orderId}:reserve.ok`;
  await transition(tx, { orderId, event: "reserve.ok", eventId, actor: ACTOR }, { park: false, log });
}
