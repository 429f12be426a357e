import { coarse } from "../../platform/geo.ts";
import { createGroup } from "../../platform/group.ts";
import type { Failure } from "../../platform/problem.ts";
import type { SagaRunner } from "../../platform/saga.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { Contacts } from "./contacts.ts";
import type { PlaceBody } from "./contract.ts";
import type { Placing } from "./placing.ts";
import { priceLines, readPrices } from "./prices.ts";
import { appendLogs, insertOrders, type NewOrder, noteWaiting, type Order } from "./store.ts";

/** One order to be made. */
export interface Wish {
  readonly sub: string;
  readonly key: string;
  readonly body: PlaceBody;
  readonly bodyHash: string;
}

/** An order that was made, with the state that its saga starts in. */
export interface Created {
  readonly order: Order;
  readonly placing: Placing;
}

export interface CreatingDeps {
  readonly sql: Sql;
  readonly saga: SagaRunner<Placing>;
  readonly contacts: Contacts;
  readonly currency: string;
  readonly promiseMinutes: number;
  newOrderId(): string;
}

/**
 * Makes orders, those that come together in one transaction: order, log, contact and saga. Undefined for one whose key has an order
 * already or is closed; a Failure, and nothing written, for one that cannot be priced.
 */
export function createCreating(deps: CreatingDeps): (wish: Wish) => Promise<Created | Failure | undefined> {
  const { sql, saga, contacts } = deps;

  async function run(tx: Tx, wishes: readonly Wish[]): Promise<(Created | Failure | undefined)[]> {
    const prices = await readPrices(
      tx,
      wishes.flatMap(({ body }) => body.lines.map(({ sku }) => sku)),
    );
    const drafts = wishes.map((wish) => {
      const priced = priceLines(prices, wish.body.lines, deps.currency);
      return priced.ok ? { wish, order: draft(wish, priced) } : { wish, refused: priced };
    });
    const wanted = drafts.flatMap(({ wish, order }) => (order ? [{ wish, order }] : []));
    if (wanted.length === 0) return drafts.map(({ refused }) => refused);
    const inserted = await insertOrders(
      tx,
      wanted.map(({ order }) => order),
    );
    const contactOf = new Map(wanted.map(({ wish, order }) => [order.id, wish.body.contact]));
    const made = new Map(inserted.map((order) => [order.id, { order, placing: begin(order, contactOf) }]));
    const own = wanted.filter(({ order }) => made.has(order.id));
    if (own.length > 0) {
      const entry = { version: 1, event: "create", from: "", to: "created", outcome: "applied" } as const;
      const logging = appendLogs(
        tx,
        own.map(({ order: { id } }) => ({
          ...{ orderId: id, eventId: `${id}:create`, actor: "customer" },
          ...entry,
        })),
      );
      const sealing = contacts.saveAll(
        tx,
        own.map(({ wish, order }) => contacts.seal(order.id, wish.body.contact)),
      );
      const starting = saga.startMany(
        tx,
        [...made.values()].map(({ placing }) => ({ id: placing.orderId, state: placing })),
      );
      const waiting = noteWaiting(tx, [...made.keys()]);
      // None of them needs the answer of another: they travel together.
      await Promise.all([logging, sealing, starting, waiting]);
    }
    return drafts.map(({ order, refused }) => refused ?? (order && made.get(order.id)));
  }

  function begin(order: Order, contactOf: ReadonlyMap<string, PlaceBody["contact"]>): Placing {
    const contact = contactOf.get(order.id);
    return { ...placingOf(order), ...(contact ? { risk: contacts.digests(order.sub, contact) } : {}) };
  }

  function draft(
    { sub, key, body, bodyHash }: Wish,
    { lines, total }: Pick<Order, "lines" | "total">,
  ): NewOrder {
    return {
      ...{ id: deps.newOrderId(), sub, bodyHash, idempotencyKey: key, paymentMethod: body.payment.method },
      ...{ lines, total, deliverTo: coarse(body.deliverTo), promiseMinutes: deps.promiseMinutes },
    };
  }

  return createGroup({ sql, run });
}

function placingOf({ id, lines, total, paymentMethod }: Order): Placing {
  return {
    orderId: id,
    lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
    total,
    method: paymentMethod,
  };
}
