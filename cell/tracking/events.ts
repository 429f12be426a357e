import type { DomainEvent } from "../../platform/events.ts";
import type { Subscription } from "../../platform/inbox.ts";
import type { Tx } from "../../platform/sql.ts";
import { dispatchAssigned, dispatchUnassigned } from "../dispatch/contract.ts";
import {
  orderCancelled,
  orderConfirmed,
  orderDelivered,
  orderPaymentFailed,
  orderRejected,
} from "../orders/contract.ts";
import { removeCourier, saveCourier, saveDestinations, saveEnd } from "./store.ts";

/**
 * Learns from orders where a parcel goes and how it ended, from dispatch who carries it. `tell` hears of each change; streams look
 * half a second later, when the transaction is over.
 */
export function createSubscriptions(tell: (orderId: string) => void): Subscription[] {
  async function aboutOrders(tx: Tx, event: DomainEvent): Promise<"applied"> {
    if (event.type === orderConfirmed.type) await saveDestinations(tx, [destinationOf(event)]);
    else {
      const { orderId } = orderCancelled.parse(event.data);
      await saveEnd(tx, orderId, event.type === orderDelivered.type ? "delivered" : "cancelled");
      tell(orderId);
    }
    return "applied";
  }

  /** Destinations and ends are columns of their own, so that those may be written before these. */
  async function aboutManyOrders(tx: Tx, events: readonly DomainEvent[]): Promise<void> {
    const confirmed = events.filter(({ type }) => type === orderConfirmed.type).map(destinationOf);
    const last = new Map(confirmed.map((destination) => [destination.orderId, destination]));
    if (last.size > 0) await saveDestinations(tx, [...last.values()]);
    for (const event of events) if (event.type !== orderConfirmed.type) await aboutOrders(tx, event);
  }

  async function aboutCouriers(tx: Tx, event: DomainEvent): Promise<"applied"> {
    const { orderId, courierId } = dispatchAssigned.parse(event.data);
    if (event.type === dispatchAssigned.type) await saveCourier(tx, orderId, courierId);
    else await removeCourier(tx, orderId, courierId);
    tell(orderId);
    return "applied";
  }

  return [
    {
      consumer: "tracking-orders",
      from: "orders",
      types: [
        orderConfirmed.type,
        orderCancelled.type,
        orderDelivered.type,
        orderPaymentFailed.type,
        orderRejected.type,
      ],
      handle: aboutOrders,
      handleAll: aboutManyOrders,
    },
    {
      consumer: "tracking-couriers",
      from: "dispatch",
      types: [dispatchAssigned.type, dispatchUnassigned.type],
      handle: aboutCouriers,
    },
  ];
}

function destinationOf(event: DomainEvent) {
  const { orderId, deliverTo, promisedAt } = orderConfirmed.parse(event.data);
  return { orderId, ...deliverTo, promisedAt: new Date(promisedAt) };
}
