import type { DomainEvent } from "../../platform/events.ts";
import type { Subscription } from "../../platform/inbox.ts";
import type { Tx } from "../../platform/sql.ts";
import { dispatchAssigned, dispatchUnassigned } from "../dispatch/contract.ts";
import {
  orderCancelled,
  orderConfirmed,
  orderDelivered,
  orderDeliveryChanged,
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
    if (isDestination(event)) await saveDestinations(tx, [destinationOf(event)]);
    else {
      const { orderId } = orderCancelled.parse(event.data);
      await saveEnd(tx, orderId, event.type === orderDelivered.type ? "delivered" : "cancelled");
      tell(orderId);
    }
    return "applied";
  }

  /** Destinations and ends are columns of their own, so that those may be written before these. */
  async function aboutManyOrders(tx: Tx, events: readonly DomainEvent[]): Promise<void> {
    const told = events.filter(isDestination).map(destinationOf);
    const last = new Map(told.map((destination) => [destination.orderId, destination]));
    if (last.size > 0) await saveDestinations(tx, [...last.values()]);
    for (const event of events) if (!isDestination(event)) await aboutOrders(tx, event);
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
        orderDeliveryChanged.type,
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

/** Says where an order goes, for the first time or anew. */
const isDestination = ({ type }: DomainEvent) =>
  type === orderConfirmed.type || type === orderDeliveryChanged.type;

function destinationOf(event: DomainEvent) {
  const contract = event.type === orderConfirmed.type ? orderConfirmed : orderDeliveryChanged;
  const { orderId, deliverTo, promisedAt } = contract.parse(event.data);
  return { orderId, ...deliverTo, promisedAt: new Date(promisedAt) };
}
