import { createHash } from "node:crypto";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import {
  type InspectBody,
  MAX_RETURNS,
  orderReturnChanged,
  type ReturnAnswer,
  type ReturnBody,
} from "./contract.ts";
import {
  decideReturn,
  type ReturnEvent,
  type ReturnState,
  type ShortLine,
  unitsOf,
  without,
  worthOf,
} from "./domain.ts";
import {
  appendReturnLog,
  deliveredWithin,
  findReturn,
  insertReturn,
  moveReturn,
  overdueReturns,
  type Return,
  type ReturnMove,
  refundedMinor,
  returnsOf,
} from "./returnstore.ts";
import { dueOf, lockOrder, type Order } from "./store.ts";
import { findVisible, isVisible, UNKNOWN_ORDER, type Viewer } from "./view.ts";

export interface ReturnsDeps {
  readonly sql: Sql;
  readonly log: Logger;
  /** For how long after the delivery goods may be brought back. */
  readonly returnDays: number;
  newReturnId(): string;
  /** Begins what follows from an inspection, in its transaction. */
  settle(tx: Tx, of: Return, order: Order, picker: string): Promise<void>;
  /** Goes on with it as far as it goes now; what is left is the worker's. */
  carryOut(id: string): Promise<void>;
}

type Outcome = { readonly ok: true; readonly value: Return } | Failure;

/** Goods that come back: the customer asks, the floor receives and inspects, the rest follows by itself. */
export interface Returns {
  request(orderId: string, viewer: Viewer, key: string, body: ReturnBody): Promise<Outcome>;
  listOf(
    orderId: string,
    viewer: Viewer,
  ): Promise<{ readonly ok: true; readonly values: Return[] } | Failure>;
  receive(id: string): Promise<Outcome>;
  inspect(id: string, body: InspectBody, picker: string): Promise<Outcome>;
  /** Ends returns whose goods never came, at most `limit`; answers how many it met. */
  expire(limit: number): Promise<number>;
}

/** The goods have to be here by then. */
const RECEIVE_DAYS = 14;
const UNKNOWN_RETURN = fail("not-found", "There is no such return.");
/** Returns in these states count for what they say; in others nothing came of them. */
const COUNTING: ReadonlySet<ReturnState> = new Set(["requested", "received", "inspected", "closed", "held"]);

/** Makes the use cases. */
export function createReturns(deps: ReturnsDeps): Returns {
  const { sql, log, returnDays } = deps;

  async function request(
    tx: Tx,
    { orderId, viewer, key, body }: { orderId: string; viewer: Viewer; key: string; body: ReturnBody },
  ): Promise<Outcome> {
    // Its row is the lock under which returns and refunds of the order are counted.
    const order = await lockOrder(tx, orderId);
    if (!order || !isVisible(order, viewer)) return UNKNOWN_ORDER;
    const requestKey = createHash("sha256").update(`${viewer.sub}\n${key}`).digest("hex");
    const others = await returnsOf(tx, orderId);
    const before = others.find((other) => other.requestKey === requestKey);
    if (before) return { ok: true, value: before };
    if (order.state !== "delivered")
      return fail("conflict", `Nothing of an order that is ${order.state} can be returned.`, {
        state: order.state,
      });
    if (!(await deliveredWithin(tx, orderId, returnDays)))
      return fail("conflict", `Goods can be returned within ${returnDays} days after their delivery.`, {
        returnDays,
      });
    if (others.length >= MAX_RETURNS)
      return fail("unprocessable", `An order can have ${MAX_RETURNS} returns at most.`);
    const refused = notReturnable(returnable(order, others), body.lines);
    if (refused) return refused;
    const made = await insertReturn(tx, {
      id: deps.newReturnId(),
      orderId,
      requestKey,
      lines: body.lines,
      refundMinor: worthOf(order.lines, body.lines),
      currency: order.total.currency,
      receiveDays: RECEIVE_DAYS,
    });
    if (!made)
      throw new Error(`a return of ${orderId} was made by somebody else under the lock of its order`);
    const actor = viewer.isStaff ? "staff" : "customer";
    await appendReturnLog(tx, made, { event: "request", from: "", actor });
    await announce(tx, made);
    return { ok: true, value: made };
  }

  /** One move. Asked again for what has happened already, it answers like the first time. */
  async function move(
    tx: Tx,
    id: string,
    event: ReturnEvent,
    more: (order: Order, from: Return) => Promise<Omit<ReturnMove, "event" | "to"> | Failure>,
  ): Promise<Outcome> {
    const seen = await findReturn(tx, id);
    const order = seen && (await lockOrder(tx, seen.orderId));
    const from = order && (await findReturn(tx, id));
    if (!order || !from) return UNKNOWN_RETURN;
    const decision = decideReturn(from.state, event);
    const { state } = from;
    if (decision.outcome !== "applied")
      return decision.outcome === "too-early"
        ? fail("too-early", `This return is ${state}: this comes later.`, { state }, 1)
        : fail("stale-transition", `This return is ${state}.`, { state });
    const change = await more(order, from);
    if ("ok" in change) return change;
    const moved = await moveReturn(tx, from, { event, to: decision.to, ...change });
    if (!moved) throw new Error(`return ${id} was moved by somebody else under the lock of its order`);
    await announce(tx, moved);
    return { ok: true, value: moved };
  }

  async function inspect(tx: Tx, id: string, lines: InspectBody["lines"], picker: string): Promise<Outcome> {
    const found = await findReturn(tx, id);
    if (found && wasInspected(found, lines)) return { ok: true, value: found };
    const event = lines.length === 0 ? "reject" : "inspect";
    let order: Order | undefined;
    const moved = await move(tx, id, event, async (locked, from) => {
      order = locked;
      const refused = notReturnable(without(from.lines), lines);
      if (refused) return refused;
      const leftMinor = dueOf(locked) - (await refundedMinor(tx, locked.id));
      const refundMinor = Math.max(0, Math.min(worthOf(locked.lines, lines), leftMinor));
      return { actor: "floor", inspected: lines, refundMinor };
    });
    if (moved.ok && order && moved.value.state === "inspected")
      await deps.settle(tx, moved.value, order, picker);
    return moved;
  }

  return {
    request: (orderId, viewer, key, body) =>
      sql.transaction((tx) => request(tx, { orderId, viewer, key, body })),
    async listOf(orderId, viewer) {
      if (!(await findVisible(sql, orderId, viewer))) return UNKNOWN_ORDER;
      return { ok: true, values: await returnsOf(sql, orderId) };
    },
    receive: (id) =>
      sql.transaction(async (tx) => {
        const found = await findReturn(tx, id);
        if (found?.state === "received") return { ok: true, value: found };
        return move(tx, id, "receive", async () => ({ actor: "floor" }));
      }),
    async inspect(id, { lines }, picker) {
      const done = await sql.transaction((tx) => inspect(tx, id, lines, picker));
      if (!done.ok || done.value.state !== "inspected") return done;
      await deps.carryOut(id);
      const now = await findReturn(sql, id);
      return now ? { ok: true, value: now } : UNKNOWN_RETURN;
    },
    async expire(limit) {
      const overdue = await overdueReturns(sql, limit);
      for (const { id } of overdue) {
        const ended = await sql.transaction((tx) =>
          move(tx, id, "expire", async () => ({ actor: "orders" })),
        );
        if (!ended.ok) log.info({ returnId: id, code: ended.code }, "a return came just before its end");
      }
      return overdue.length;
    },
  };
}

/** Says that a return has moved. */
export async function announce(tx: Tx, { id, orderId, state, version }: Return): Promise<void> {
  await appendEvent(tx, "orders", {
    type: orderReturnChanged.type,
    subject: orderId,
    version,
    data: orderReturnChanged.parse({ orderId, returnId: id, state }),
  });
}

/** A return as people see it. */
export function toReturnAnswer(value: Return): ReturnAnswer {
  return {
    id: value.id,
    orderId: value.orderId,
    state: value.state,
    lines: value.lines,
    inspected: value.inspected,
    refund: { amountMinor: value.refundMinor, currency: value.currency },
    createdAt: value.createdAt.toISOString(),
    receiveBy: value.receiveBy.toISOString(),
  };
}

/** Units that were delivered and are in no other return. */
function returnable(order: Order, others: readonly Return[]): ShortLine[] {
  const taken = others
    .filter(({ state }) => COUNTING.has(state))
    .flatMap(({ inspected, lines }): readonly ShortLine[] => (inspected.length > 0 ? inspected : lines));
  return without(order.lines, order.cancelledLines, order.shortLines, taken);
}

function notReturnable(left: readonly ShortLine[], lines: readonly ShortLine[]): Failure | undefined {
  const there = unitsOf(left);
  for (const [sku, quantity] of unitsOf(lines)) {
    const found = there.get(sku) ?? 0;
    if (quantity > found)
      return fail("unprocessable", `Of ${sku} ${found} units can be returned, not ${quantity}.`, {
        left: [...left],
      });
  }
  return undefined;
}

function wasInspected({ state, inspected }: Return, lines: InspectBody["lines"]): boolean {
  if (state === "rejected") return lines.length === 0;
  if (state !== "inspected" && state !== "closed" && state !== "held") return false;
  return sortedText(inspected) === sortedText(lines);
}

function sortedText(lines: InspectBody["lines"]): string {
  return JSON.stringify(
    lines.map(({ sku, quantity, condition }) => `${sku} ${condition} ${quantity}`).sort(),
  );
}
