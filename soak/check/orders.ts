import { findings, type Verdict } from "./verdict.ts";

/** A request of a customer: one key, sent until there was an answer. */
export interface Placed {
  readonly sub: string;
  readonly key: string;
  /** The definite answer; absent when the customer gave up waiting. */
  readonly answer?: { readonly status: number; readonly orderId?: string | undefined };
}

export interface OrderRow {
  readonly id: string;
  readonly sub: string;
  readonly key: string;
  readonly state: string;
  /** It came to nothing for the cell's own reasons, and its key was given free for another try. */
  readonly isReleased?: boolean;
}

/** A row of the order's log, of moves only. */
export interface LogRow {
  readonly orderId: string;
  readonly version: number;
  readonly from: string;
  readonly to: string;
}

export interface OrderBooks {
  readonly placed: readonly Placed[];
  readonly orders: readonly OrderRow[];
  readonly log: readonly LogRow[];
  /** States that nothing leads out of. */
  readonly final: ReadonlySet<string>;
  /** States of which only an order that was never promised may end in. */
  readonly refused: ReadonlySet<string>;
}

/**
 * Whether no order was lost and none made twice: each good answer leads to exactly one order, each order to exactly one end, a customer
 * who was refused has no order under way, and no order goes backwards.
 */
export function checkOrders(books: OrderBooks): Verdict {
  const found = findings("no order is lost");
  const byKey = new Map<string, OrderRow[]>();
  for (const order of books.orders) {
    if (!books.final.has(order.state)) found.wrong(`order ${order.id} is left in ${order.state}`);
    if (order.isReleased) {
      if (!books.refused.has(order.state))
        found.wrong(`order ${order.id} gave its key away and is ${order.state}`);
      continue;
    }
    const key = `${order.sub}\n${order.key}`;
    byKey.set(key, [...(byKey.get(key) ?? []), order]);
  }
  for (const { sub, key, answer } of books.placed) {
    found.saw();
    const own = byKey.get(`${sub}\n${key}`) ?? [];
    byKey.delete(`${sub}\n${key}`);
    if (own.length > 1) found.wrong(`${sub} has ${own.length} orders under the key ${key}`);
    if (!answer) continue;
    const [order] = own;
    if (answer.orderId !== undefined) {
      if (!order) found.wrong(`order ${answer.orderId} was promised to ${sub} and is lost`);
      else if (order.id !== answer.orderId)
        found.wrong(`${sub} was promised ${answer.orderId} and has ${order.id}`);
      else if (books.refused.has(order.state))
        found.wrong(`order ${order.id} was promised and ended ${order.state}`);
    } else if (order && !books.refused.has(order.state))
      found.wrong(`${sub} was refused (${answer.status}) and order ${order.id} is ${order.state}`);
  }
  for (const [key] of byKey) found.wrong(`there is an order that nobody placed: ${key.replace("\n", " ")}`);
  oneWay(books, found);
  return found.verdict();
}

/** Versions have no gap and no double, each move begins where the one before ended, and the last one is the end. */
function oneWay({ orders, log, final }: OrderBooks, found: ReturnType<typeof findings>): void {
  const rows = new Map<string, LogRow[]>();
  for (const row of log) {
    const own = rows.get(row.orderId) ?? [];
    rows.set(row.orderId, own);
    own.push(row);
  }
  for (const { id, state } of orders) {
    const own = (rows.get(id) ?? []).sort((left, right) => left.version - right.version);
    const ends = own.filter(({ to }) => final.has(to)).length;
    if (final.has(state) && ends !== 1) found.wrong(`order ${id} ended ${ends} times`);
    for (const [index, row] of own.entries()) {
      const before = own[index - 1];
      if (before && (row.version !== before.version + 1 || row.from !== before.to))
        found.wrong(
          `order ${id}: ${row.from} to ${row.to} at ${row.version} follows ${before.to} at ${before.version}`,
        );
    }
    const last = own.at(-1);
    if (last && last.to !== state) found.wrong(`order ${id} is ${state}, its log ends with ${last.to}`);
  }
}
