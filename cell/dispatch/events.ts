import type { DomainEvent } from "../../platform/events.ts";
import type { Subscription } from "../../platform/inbox.ts";
import type { Tx } from "../../platform/sql.ts";
import { couriersOffline, couriersShiftEnded, couriersShiftStarted } from "../couriers/contract.ts";
import { fulfillmentDeliveryChanged, fulfillmentPacked } from "../fulfillment/contract.ts";
import { orderCancelled, orderCancelling } from "../orders/contract.ts";
import { saveCourier } from "./courierstore.ts";
import type { DispatchService } from "./service.ts";
import { callOffJob, insertJob, moveJob } from "./store.ts";

/** Parcels come from the floor, shifts from couriers, cancellations from orders; in any order. */
export function createSubscriptions(service: DispatchService): Subscription[] {
  async function packed(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored"> {
    const { orderId, packageBarcode, deliverTo, promisedAt } = fulfillmentPacked.parse(event.data);
    const made = await insertJob(tx, {
      orderId,
      packageBarcode,
      deliverTo,
      promisedAt: new Date(promisedAt),
    });
    return made ? "applied" : "ignored";
  }

  async function moved(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored"> {
    const { orderId, deliverTo, promisedAt } = fulfillmentDeliveryChanged.parse(event.data);
    const job = { orderId, deliverTo, promisedAt: new Date(promisedAt) };
    return (await moveJob(tx, job, event.version)) ? "applied" : "ignored";
  }

  async function cancelled(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored"> {
    const { orderId } = orderCancelled.parse(event.data);
    // Assignment before parcel, like every other move: two that lock in the same order do not wait for each other.
    await service.applyTo(tx, { orderId }, "cancel");
    await callOffJob(tx, orderId);
    return "applied";
  }

  async function shift(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored"> {
    if (event.type === couriersShiftStarted.type) {
      const { courierId, latitude, longitude } = couriersShiftStarted.parse(event.data);
      const position = { latitude, longitude };
      const fresh = await saveCourier(tx, { id: courierId, onShift: true, version: event.version, position });
      return fresh ? "applied" : "ignored";
    }
    const { courierId } = couriersOffline.parse(event.data);
    if (!(await saveCourier(tx, { id: courierId, onShift: false, version: event.version }))) return "ignored";
    await service.applyTo(tx, { courierId }, "offline");
    return "applied";
  }

  return [
    { consumer: "dispatch-parcels", from: "fulfillment", types: [fulfillmentPacked.type], handle: packed },
    {
      consumer: "dispatch-moves",
      from: "fulfillment",
      types: [fulfillmentDeliveryChanged.type],
      handle: moved,
    },
    {
      consumer: "dispatch-cancels",
      from: "orders",
      types: [orderCancelling.type, orderCancelled.type],
      handle: cancelled,
    },
    {
      consumer: "dispatch-shifts",
      from: "couriers",
      types: [couriersShiftStarted.type, couriersShiftEnded.type, couriersOffline.type],
      handle: shift,
    },
  ];
}
