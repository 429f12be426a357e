import { type Coordinates, coarse, distanceMeters } from "../../platform/geo.ts";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { Contacts } from "./contacts.ts";
import { type DeliveryBody, orderDeliveryChanged } from "./contract.ts";
import { changedMeanwhile } from "./cutting.ts";
import { lockOrder, type Order, saveDelivery, wasApplied } from "./store.ts";
import { transition } from "./transitions.ts";
import { isVisible, UNKNOWN_ORDER, type Viewer } from "./view.ts";

export interface DeliveryDeps {
  readonly sql: Sql;
  readonly contacts: Contacts;
  readonly log: Logger;
  readonly centerAt: Coordinates;
  readonly promiseMinutes: number;
}

export interface DeliveryRequest {
  readonly orderId: string;
  readonly viewer: Viewer;
  readonly key: string;
  readonly body: DeliveryBody;
  readonly expectedVersion?: number | undefined;
}

export interface Deliveries {
  /** Changes address and time, as long as nobody has begun to pick. */
  change(request: DeliveryRequest): Promise<{ readonly ok: true; readonly order: Order } | Failure>;
}

/** Riding speed as the gateway reckons when it chooses a center: 18 km/h. */
const METERS_PER_MINUTE = 300;
/** A promise may be put off by so much. */
const MAX_DAYS_AHEAD = 7;

/** Makes the use case. */
export function createDeliveries(deps: DeliveryDeps): Deliveries {
  const { sql, contacts, log } = deps;

  async function change(
    tx: Tx,
    { orderId, viewer, key, body, expectedVersion }: DeliveryRequest,
  ): Promise<{ ok: true; order: Order } | Failure> {
    const order = await lockOrder(tx, orderId);
    if (!order || !isVisible(order, viewer)) return UNKNOWN_ORDER;
    const eventId = `delivery:${viewer.sub}:${key}`;
    if (await wasApplied(tx, orderId, eventId)) return { ok: true, order };
    if (expectedVersion !== undefined && expectedVersion !== order.version) return changedMeanwhile(order);
    const refused = tooFar(deps, body) ?? (await badTime(tx, order, body));
    if (refused) return refused;
    const actor = viewer.isStaff ? "staff" : "customer";
    const moved = await transition(
      tx,
      { orderId, event: "delivery.change", eventId, actor },
      { park: false, log },
    );
    if (!moved.order) return UNKNOWN_ORDER;
    const { state } = moved.order;
    if (moved.outcome === "too-early")
      return fail("too-early", "The order is still being placed; try again in a moment.", { state }, 1);
    if (moved.outcome !== "applied")
      return fail("conflict", `The delivery of an order that is ${state} can no longer be changed.`, {
        state,
      });
    const promisedAt = body.promisedAt === undefined ? undefined : new Date(body.promisedAt);
    const deliverTo = body.deliverTo && coarse(body.deliverTo);
    await saveDelivery(tx, orderId, { deliverTo, promisedAt });
    if (body.contact) await contacts.replace(tx, contacts.seal(orderId, body.contact));
    const changed = {
      ...moved.order,
      deliverTo: deliverTo ?? order.deliverTo,
      promisedAt: promisedAt ?? order.promisedAt,
    };
    // One that is still looked at tells the floor its place and time when it has passed.
    if (state === "confirmed") await announce(tx, changed);
    return { ok: true, order: changed };
  }

  return { change: (request) => sql.transaction((tx) => change(tx, request)) };
}

async function announce(tx: Tx, { id, version, deliverTo, promisedAt }: Order): Promise<void> {
  await appendEvent(tx, "orders", {
    type: orderDeliveryChanged.type,
    subject: id,
    version,
    data: orderDeliveryChanged.parse({ orderId: id, deliverTo, promisedAt: promisedAt.toISOString() }),
  });
}

/** Goods lie here and go from here: the new place has to be within the ride that the promise allows. */
function tooFar(
  { centerAt, promiseMinutes }: DeliveryDeps,
  { deliverTo }: DeliveryBody,
): Failure | undefined {
  if (!deliverTo) return undefined;
  const maxMeters = promiseMinutes * METERS_PER_MINUTE;
  if (distanceMeters(centerAt, deliverTo) <= maxMeters) return undefined;
  return fail(
    "unprocessable",
    "This center does not deliver to the new address; cancel the order and place it anew.",
    { maxMeters },
  );
}

/** By the database's clock, like the promise itself. */
async function badTime(tx: Tx, order: Order, { promisedAt }: DeliveryBody): Promise<Failure | undefined> {
  if (promisedAt === undefined) return undefined;
  const [row] = await tx.query<{ fits: boolean; latest: Date }>(
    `SELECT $1::TIMESTAMPTZ >= $2::TIMESTAMPTZ AND $1::TIMESTAMPTZ <= now() + $3::INT8 * INTERVAL '1 day' AS fits,
       now() + $3::INT8 * INTERVAL '1 day' AS latest`,
    [promisedAt, order.promisedAt, MAX_DAYS_AHEAD],
  );
  if (row?.fits === true) return undefined;
  const earliest = order.promisedAt.toISOString();
  const latest = row?.latest.toISOString();
  return fail("unprocessable", `Choose a time between ${earliest} and ${latest}.`, { earliest, latest });
}
