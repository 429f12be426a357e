import type { DomainEvent } from "../../platform/events.ts";
import type { Subscription } from "../../platform/inbox.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Tx } from "../../platform/sql.ts";
import {
  orderCancelled,
  orderCancelling,
  orderConfirmed,
  orderDeliveryChanged,
  orderLinesCancelled,
} from "../orders/contract.ts";
import { fulfillmentDeliveryChanged, fulfillmentPutbackDone } from "./contract.ts";
import { nextPickListState, walkOrder } from "./domain.ts";
import { saveResolved, say } from "./resolving.ts";
import {
  callOff,
  cancelUnits,
  findCalledOff,
  insertPickLists,
  lockPickListOf,
  type PickList,
  saveDelivery,
  savePickList,
} from "./store.ts";

/** Turns orders into pick lists, and calls them off. Events may come in any order. */
export function createSubscriptions(deps: { newId(prefix: string): string }): Subscription[] {
  function listFor(event: DomainEvent): PickList {
    const order = orderConfirmed.parse(event.data);
    const id = deps.newId("pck");
    const lines = order.lines.flatMap(({ sku, barcode, weightGrams, bins }) =>
      bins.map(({ bin, quantity }) => ({ sku, barcode, weightGrams, bin, quantity, picked: 0, short: 0 })),
    );
    return {
      id,
      orderId: order.orderId,
      holdId: order.holdId,
      state: "open",
      version: 1,
      tote: undefined,
      packageBarcode: undefined,
      deliverTo: order.deliverTo,
      promisedAt: new Date(order.promisedAt),
      lines: walkOrder(lines).map((line, index) => ({ ...line, id: `${id}:${index + 1}` })),
    };
  }

  /** Answers how many pick lists were made. */
  async function confirmedAll(tx: Tx, events: readonly DomainEvent[]): Promise<number> {
    const lists = events.map(listFor);
    const calledOff = await findCalledOff(
      tx,
      lists.map(({ orderId }) => orderId),
    );
    const wanted = lists.filter(({ orderId }) => !calledOff.has(orderId));
    return (await insertPickLists(tx, wanted)).length;
  }

  async function calledOff(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored"> {
    const { orderId } = orderCancelled.parse(event.data);
    await callOff(tx, orderId);
    const list = await lockPickListOf(tx, orderId);
    const state = list && nextPickListState(list.state, "cancel");
    if (!list || state === undefined) return "ignored";
    const version = list.version + 1;
    await savePickList(tx, list.id, { state, version });
    // A list that nobody has started holds nothing; orders waits for this word only when it said `cancelling`.
    if (state === "cancelled" && event.type === orderCancelling.type)
      await appendEvent(tx, "fulfillment", {
        type: fulfillmentPutbackDone.type,
        subject: list.id,
        version,
        data: { orderId, pickListId: list.id },
      });
    return "applied";
  }

  /** Changes a list that is there; before its confirmation has come there is none to change, and the event comes again. */
  async function changed(
    tx: Tx,
    event: DomainEvent,
    change: (list: PickList) => Promise<void>,
  ): Promise<"applied" | "ignored" | Failure> {
    const { orderId } = event.data as { orderId: string };
    const list = await lockPickListOf(tx, orderId);
    if (!list)
      return (await findCalledOff(tx, [orderId])).has(orderId)
        ? "ignored"
        : fail("not-found", `no pick list of ${orderId} yet`);
    await change(list);
    return "applied";
  }

  const linesCancelled = (tx: Tx, event: DomainEvent) =>
    changed(tx, event, async (list) => {
      for (const share of orderLinesCancelled.parse(event.data).bins) await cancelUnits(tx, list.id, share);
      const now = await lockPickListOf(tx, list.orderId);
      if (now) await saveResolved(tx, now, now.lines, now.version);
    });

  const deliveryChanged = (tx: Tx, event: DomainEvent) =>
    changed(tx, event, async (list) => {
      const { deliverTo, promisedAt } = orderDeliveryChanged.parse(event.data);
      const delivery = { deliverTo, promisedAt: new Date(promisedAt), orderVersion: event.version };
      if (!(await saveDelivery(tx, list.id, delivery)) || list.state !== "packed") return;
      // What dispatch has heard with the package is out of date.
      const version = list.version + 1;
      await say(tx, list, version, fulfillmentDeliveryChanged.type, { deliverTo, promisedAt });
      await savePickList(tx, list.id, { state: list.state, version });
    });

  return [
    {
      consumer: "fulfillment-orders",
      from: "orders",
      types: [orderConfirmed.type],
      handle: async (tx, event) => ((await confirmedAll(tx, [event])) > 0 ? "applied" : "ignored"),
      handleAll: async (tx, events) => void (await confirmedAll(tx, events)),
    },
    {
      consumer: "fulfillment-cuts",
      from: "orders",
      types: [orderLinesCancelled.type],
      handle: linesCancelled,
    },
    {
      consumer: "fulfillment-deliveries",
      from: "orders",
      types: [orderDeliveryChanged.type],
      handle: deliveryChanged,
    },
    {
      consumer: "fulfillment-cancels",
      from: "orders",
      types: [orderCancelling.type, orderCancelled.type],
      handle: calledOff,
    },
  ];
}
