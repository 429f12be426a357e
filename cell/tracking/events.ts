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
import { removeCourier, saveCourier, saveDestination, saveEnd } from "./store.ts";

/**
 * Learns from orders where a parcel goes and how it ended, from dispatch who carries it. `tell` hears of each change; streams look
 * half a second later, when the transaction is over.
 */
export function createSubscriptions(tell: (orderId: string) => void): Subscription[] {
  async function aboutOrders(tx: Tx, event: DomainEvent): Promise<"applied"> {
    if (event.type === orderConfirmed.type) {
      const { orderId, deliverTo, promisedAt } = orderConfirmed.parse(event.data);
      await saveDestination(tx, { orderId, ...deliverTo, promisedAt: new Date(promisedAt) });
    } else {
      const { orderId } = orderCancelled.parse(event.data);
      await saveEnd(tx, orderId, event.type === orderDelivered.type ? "delivered" : "cancelled");
      tell(orderId);
    }
    return "applied";
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
    },
    {
      consumer: "tracking-couriers",
      from: "dispatch",
      types: [dispatchAssigned.type, dispatchUnassigned.type],
      handle: aboutCouriers,
    },
  ];
}
