import { createHash } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import { gather } from "../../platform/gather.ts";
import type { Logger } from "../../platform/log.ts";
import { type Failure, fail, type ProblemCode } from "../../platform/problem.ts";
import type { SagaRunner } from "../../platform/saga.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Signer } from "../../platform/trust.ts";
import type { Admitted } from "./admission.ts";
import type { Contact, Contacts } from "./contacts.ts";
import type { OrderAnswer, PlaceBody } from "./contract.ts";
import { type Created, createCreating } from "./creating.ts";
import { changedMeanwhile } from "./cutting.ts";
import type { OrderState } from "./domain.ts";
import { closeKey, isClosed } from "./keys.ts";
import type { Placing } from "./placing.ts";
import {
  findByKeys,
  findOrder,
  findOrders,
  type LogEntry,
  listOrders,
  lockOrder,
  type Order,
  readLog,
  type UserKey,
} from "./store.ts";
import { type Transition, transition } from "./transitions.ts";
import { findVisible, toAnswer, UNKNOWN_ORDER, type Viewer } from "./view.ts";
import { waitFor } from "./waiting.ts";

export interface OrdersDeps {
  readonly center: string;
  readonly sql: Sql;
  readonly saga: SagaRunner<Placing>;
  readonly contacts: Contacts;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly currency: string;
  readonly promiseMinutes: number;
  newOrderId(): string;
  /** Whether this user may place one more order here now. */
  admit(sub: string): Admitted;
}

type Found<T> = ({ readonly ok: true } & T) | Failure;

export interface OrdersService {
  place(
    sub: string,
    key: string,
    body: PlaceBody,
    deadlineMs: number,
  ): Promise<Found<{ order: OrderAnswer; isReplay: boolean }>>;
  get(id: string, viewer: Viewer): Promise<Found<{ order: OrderAnswer }>>;
  log(id: string, viewer: Viewer): Promise<Found<{ log: LogEntry[] }>>;
  list(
    viewer: Viewer,
    page: { cursor?: string | undefined; status?: string | undefined; limit: number },
  ): Promise<{ orders: OrderAnswer[]; nextCursor?: string }>;
  /** `expectedVersion`: not when the order has moved on since. */
  cancel(
    id: string,
    viewer: Viewer,
    eventId: string,
    expectedVersion?: number,
  ): Promise<Found<{ order: OrderAnswer }>>;
  /** A courier is about to take the parcel along: the one moment at which an order that is being cancelled can still be stopped. */
  handOver(id: string, assignmentId: string): Promise<{ ok: true } | Failure>;
  /** Closes a key of a user's here; answers the order that is there already. */
  closeKey(sub: string, key: string): Promise<{ readonly orderId?: string }>;
  contact(id: string, viewer: Viewer): Promise<Found<{ contact: Contact }>>;
  ownerOf(id: string): Promise<string | undefined>;
}

const LOOKED_UP_AT_ONCE = 64;
/** States after a handover; a second courier may have to take a parcel over whose first one was cut off in the act. */
const ON_THE_ROAD: ReadonlySet<OrderState> = new Set(["out_for_delivery", "arrived"]);
/** What this cell says when it took nothing for a key. */
const REFUSALS: ReadonlySet<ProblemCode> = new Set(["price-changed", "not-accepting", "key-closed"]);
/** How an order ends that was never placed. */
const NOT_PLACED: ReadonlySet<OrderState> = new Set(["rejected", "payment_failed"]);

/** The use cases of orders. */
export function createOrdersService(deps: OrdersDeps): OrdersService {
  const { sql, saga, center, log } = deps;
  const create = createCreating(deps);
  // What is looked up in one turn of the event loop is one statement.
  const byKey = gather((keys: readonly UserKey[]) => findByKeys(sql, keys), LOOKED_UP_AT_ONCE);
  const byId = gather(async (ids: readonly string[]) => {
    const orders = new Map((await findOrders(sql, ids)).map((order) => [order.id, order]));
    return ids.map((id) => orders.get(id));
  }, LOOKED_UP_AT_ONCE);

  /** A refusal that the gateway may take elsewhere carries this cell's signature: it took nothing for this key. */
  async function refuse(failure: Failure, key: string): Promise<Failure> {
    const proof = await deps.signer.sign({ key, code: failure.code, center });
    return { ...failure, headers: { ...failure.headers, "x-cells-refusal": proof } };
  }

  /** The order under this key: the one that is there, or a new one with the state that its saga starts in. */
  async function findOrCreate(
    sub: string,
    key: string,
    body: PlaceBody,
  ): Promise<(Pick<Created, "order"> & Partial<Created>) | Failure> {
    const bodyHash = createHash("sha256").update(JSON.stringify(body)).digest("hex");
    let order = await byKey({ sub, key });
    if (!order) {
      const admitted = deps.admit(sub);
      if (admitted === "full")
        return fail("not-accepting", "This center takes no more orders for the moment.", undefined, 5);
      if (admitted === "too-many")
        return fail("rate-limited", "You have placed very many orders; wait a little.", undefined, 5);
      const created = await create({ sub, key, body, bodyHash });
      if (created) return created;
      // A twin with the same key came first by a moment.
      order = await byKey({ sub, key });
    }
    if (!order && (await isClosed(sql, sub, key)))
      return fail("key-closed", "An order with this key is placed at another center; repeat the request.");
    if (!order)
      return fail("request-in-progress", "The same request is still running; repeat it to get its answer.");
    if (order.bodyHash !== bodyHash)
      return fail(
        "idempotency-key-reused",
        "This Idempotency-Key was used with another body; use a new key.",
      );
    return { order };
  }

  const visible = (id: string, viewer: Viewer) => findVisible(sql, id, viewer);

  return {
    async place(sub, key, body, deadlineMs) {
      const found = await findOrCreate(sub, key, body);
      if ("ok" in found) return REFUSALS.has(found.code) ? refuse(found, key) : found;
      const made = found.order;
      const outcome = await waitFor(saga, made.id, deps.clock, deadlineMs, found.placing);
      if (outcome.status === "pending")
        return fail(
          "outcome-unknown",
          "The order is being placed: repeat the request to learn how it ended.",
          undefined,
          2,
        );
      if (outcome.status === "undone") {
        const failure = { ...outcome.failure, extra: { ...outcome.failure.extra, orderId: made.id } };
        const isRefusal = failure.code === "out-of-stock" || failure.code === "not-accepting";
        return isRefusal ? refuse(failure, key) : failure;
      }
      const order = await byId(made.id);
      if (!order) return UNKNOWN_ORDER;
      if (outcome.status === "forgotten" && NOT_PLACED.has(order.state))
        return fail("conflict", "This key's order was refused long ago; use a new key.", {
          orderId: made.id,
        });
      return { ok: true, order: toAnswer(order, center), isReplay: found.placing === undefined };
    },
    async get(id, viewer) {
      const order = await visible(id, viewer);
      return order ? { ok: true, order: toAnswer(order, center) } : UNKNOWN_ORDER;
    },
    async log(id, viewer) {
      return (await visible(id, viewer)) ? { ok: true, log: await readLog(sql, id) } : UNKNOWN_ORDER;
    },
    async list(viewer, { cursor, status, limit }) {
      const sub = viewer.isStaff ? undefined : viewer.sub;
      const page = await listOrders(sql, { sub, state: status, cursor, limit });
      const orders = page.orders.map((order) => toAnswer(order, center));
      return page.nextCursor === undefined ? { orders } : { orders, nextCursor: page.nextCursor };
    },
    async cancel(id, viewer, key, expectedVersion) {
      const order = await visible(id, viewer);
      if (!order) return UNKNOWN_ORDER;
      if (order.state === "created" || order.state === "reserved")
        return fail(
          "too-early",
          "The order is still being placed; cancel it in a moment.",
          { state: order.state },
          1,
        );
      const actor = viewer.isStaff ? "staff" : "customer";
      const request: Transition = { orderId: id, event: "cancel", eventId: `cancel:${key}`, actor };
      const moved = await sql.transaction(async (tx) => {
        const locked = expectedVersion === undefined ? undefined : await lockOrder(tx, id);
        if (locked && locked.version !== expectedVersion && !isCancelled(locked))
          return changedMeanwhile(locked);
        return transition(tx, request, { park: false, log });
      });
      if ("ok" in moved) return moved;
      if (!moved.order) return UNKNOWN_ORDER;
      const { state } = moved.order;
      // Asking twice for what has happened is no mistake of the customer's.
      if (moved.outcome === "applied" || isCancelled(moved.order))
        return { ok: true, order: toAnswer(moved.order, center) };
      return fail("conflict", `An order that is ${state} can no longer be cancelled.`, { state });
    },
    async handOver(id, assignmentId) {
      const eventId = `handover:${assignmentId}`;
      const moved = await sql.transaction((tx) =>
        transition(tx, { orderId: id, event: "handover", eventId, actor: "dispatch" }, { park: false, log }),
      );
      if (!moved.order) return UNKNOWN_ORDER;
      const { state } = moved.order;
      if (moved.outcome === "applied" || ON_THE_ROAD.has(state)) return { ok: true };
      if (moved.outcome === "too-early")
        return fail("too-early", "The order is not ready to leave yet; try again in a moment.", { state }, 1);
      return fail("conflict", `This order is ${state}: the parcel stays here.`, { state });
    },
    closeKey: (sub, key) => sql.transaction((tx) => closeKey(tx, sub, key)),
    async contact(id, viewer) {
      const contact = (await visible(id, viewer)) && (await deps.contacts.read(sql, id));
      return contact ? { ok: true, contact } : UNKNOWN_ORDER;
    },
    async ownerOf(id) {
      return (await findOrder(sql, id))?.sub;
    },
  };
}

function isCancelled({ state }: Order): boolean {
  return state === "cancelled" || state === "cancelling";
}
