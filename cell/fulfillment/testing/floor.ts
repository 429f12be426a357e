import type { DomainEvent } from "../../../platform/events.ts";
import type { Answer } from "../../../platform/fetch.ts";
import { defineRoute, noContent, ok } from "../../../platform/http.ts";
import { newId, newUuid } from "../../../platform/ids.ts";
import type { Failure } from "../../../platform/problem.ts";
import type { SliceDefinition } from "../../../platform/slice.ts";
import type { SliceName } from "../../../platform/slices.ts";
import { startTestCell, type TestCell } from "../../../platform/testing/cell.ts";
import { eventually } from "../../../platform/testing/stores.ts";
import type { AllocatedLine, StockAnswer } from "../../inventory/contract.ts";
import { inventorySlice } from "../../inventory/slice.ts";
import type { PickListAnswer } from "../contract.ts";
import { fulfillmentSlice } from "../slice.ts";

export type Bin = PickListAnswer["lines"][number]["bin"];
type Result<T> = Answer<T> | Failure;

/** Where the tests put a unit's parcel. */
export const DELIVER_TO = { latitude: 37.51, longitude: 127.04 };
export const PROMISED_AT = "2030-01-01T00:00:00.000Z";
let numbers = 0;

/** A name that no other test of this run uses. */
export function fresh(prefix: string): string {
  return `${prefix}-${process.pid}-${numbers++}`;
}

/** The result's body; throws what was answered instead. */
export function good<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.detail}`);
  return result.body;
}

/** Stands where orders stands: consumes what the floor and the road say, and knows whose an order is. */
export function createRecorder(
  owners: ReadonlyMap<string, string> = new Map(),
  cancelling: ReadonlySet<string> = new Set(),
) {
  const events: DomainEvent<Record<string, unknown>>[] = [];
  const kinds: Partial<Record<SliceName, readonly string[]>> = {
    fulfillment: ["picking_started", "short", "picked", "packed", "delivery_changed", "putback_done"],
    dispatch: ["offered", "assigned", "unassigned", "handed_over", "arrived", "delivered", "escalated"],
    couriers: ["shift_started", "shift_ended", "offline"],
  };
  const definition: SliceDefinition = {
    name: "orders",
    build: () => ({
      routes: [
        defineRoute({
          method: "GET",
          path: "/internal/orders/:orderId/owner",
          summary: "Whose order it is.",
          access: "internal",
          responses: { 200: undefined },
          async handler({ params }) {
            const sub = owners.get(params.orderId ?? "");
            if (sub === undefined) return { ok: false, code: "not-found", detail: "There is no such order." };
            return ok({ sub });
          },
        }),
        defineRoute({
          method: "POST",
          path: "/internal/orders/:orderId/handover",
          summary: "Whether the parcel may leave.",
          access: "internal",
          idempotency: "none",
          responses: { 204: undefined },
          async handler({ params }) {
            if (!cancelling.has(params.orderId ?? "")) return noContent();
            return {
              ok: false,
              code: "conflict",
              detail: "This order is cancelling: the parcel stays here.",
            };
          },
        }),
      ],
      subscriptions: (Object.keys(kinds) as SliceName[]).map((from) => ({
        consumer: `recorder-${from}`,
        from,
        types: (kinds[from] ?? []).map((kind) => `${from}.${kind}.v1`),
        async handle(_tx, event) {
          events.push(event as DomainEvent<Record<string, unknown>>);
          return "applied";
        },
      })),
      workers: [],
    }),
  };
  return {
    definition,
    events,
    /** The events of one order, in the order in which they came; a repetition of one id is dropped. */
    of: (orderId: string) => [
      ...new Map(events.filter(({ data }) => data.orderId === orderId).map((e) => [e.id, e])).values(),
    ],
  };
}

/** Tells a slice an event as the way around Kafka does; `id` repeats one. */
export async function tell(
  cell: TestCell,
  to: SliceName,
  type: string,
  event: { subject: string; data: unknown; version?: number; id?: string },
): Promise<void> {
  const { subject, data, version = 1, id = newUuid() } = event;
  const source = `${cell.center}/${type.split(".")[0]}`;
  const body = { id, type, source, subject, time: new Date().toISOString(), version, data };
  good(await cell.internal[to].call({ method: "POST", path: "/internal/events", body }));
}

/** Shelves with stock, allocations, and pickers. */
export function createFloor(cell: TestCell) {
  const staff = cell.as("u-staff", "staff").inventory;
  const picker = cell.as("u-picker", "picker").fulfillment;
  const { inventory } = cell.internal;

  async function shelve(sku: string, bin: Bin, quantity: number, weightGrams = 500): Promise<void> {
    const skus = [{ sku, barcode: `b-${sku}`, name: sku, weightGrams, temperature: "ambient" }];
    good(await staff.call({ method: "POST", path: "/v1/skus", body: { skus } }));
    const receipt = { receiptId: fresh("rcp"), lines: [{ sku, bin, quantity }] };
    good(await staff.call({ method: "POST", path: "/v1/receipts", body: receipt }));
  }

  /** What orders does up to `confirmed`; answers the data of that event. */
  async function confirmData(lines: readonly { sku: string; quantity: number }[]) {
    const orderId = newId("ord", cell.center);
    const holdId = `hold-${orderId}`;
    const body = { holdId, orderId, owner: "u-customer", lines };
    good(await inventory.call({ method: "POST", path: "/internal/holds", body, idempotencyKey: holdId }));
    const bound = await inventory.call<{ lines: AllocatedLine[] }>({
      method: "POST",
      path: "/internal/allocations",
      body: { holdId, orderId, lines },
    });
    const total = { amountMinor: 1_000, currency: "KRW" };
    return {
      orderId,
      holdId,
      lines: good(bound).lines,
      deliverTo: DELIVER_TO,
      promisedAt: PROMISED_AT,
      total,
    };
  }

  const confirm = (data: { orderId: string }, id?: string) =>
    tell(cell, "fulfillment", "orders.confirmed.v1", { subject: data.orderId, data, ...(id ? { id } : {}) });

  async function listOf(orderId: string): Promise<PickListAnswer> {
    const rows = await cell.sql.query<{ id: string }>(
      "SELECT id FROM fulfillment.pick_list WHERE order_id = $1",
      [orderId],
    );
    if (!rows[0]) throw new Error(`order ${orderId} has no pick list`);
    return good(await picker.call<PickListAnswer>({ method: "GET", path: `/v1/pick-lists/${rows[0].id}` }));
  }

  const post = (id: string, rest: string, body: object = {}, key = fresh("key")) =>
    picker.call<PickListAnswer>({
      method: "POST",
      path: `/v1/pick-lists/${id}/${rest}`,
      body,
      idempotencyKey: key,
    });

  const scan = (list: PickListAnswer, line: number, quantity: number, changed: object = {}) => {
    const { id: lineId, bin, barcode } = list.lines[line] ?? { id: "", bin: {}, barcode: "" };
    return post(list.id, "scans", { eventId: fresh("ev"), lineId, bin, barcode, quantity, ...changed });
  };

  return {
    shelve,
    confirmData,
    confirm,
    listOf,
    post,
    scan,
    async order(lines: readonly { sku: string; quantity: number }[]) {
      const data = await confirmData(lines);
      await confirm(data);
      return { ...data, list: await listOf(data.orderId) };
    },
    cancel: (orderId: string, type: "cancelling" | "cancelled", from = "picking") =>
      tell(cell, "fulfillment", `orders.${type}.v1`, { subject: orderId, data: { orderId, from } }),
    async stock(sku: string) {
      const answer = await staff.call<StockAnswer>({ method: "GET", path: `/v1/stock?sku=${sku}` });
      const found = good(answer).stock[0];
      if (!found) throw new Error(`no stock of ${sku}`);
      const { onHand, allocated, available } = found;
      return { onHand, allocated, available };
    },
    /** Scans all that is left, packs with the right weight. */
    async packAll(orderId: string): Promise<PickListAnswer> {
      const list = await listOf(orderId);
      good(await post(list.id, "start", { tote: fresh("tote") }));
      for (const [index, line] of list.lines.entries()) good(await scan(list, index, line.quantity));
      const weightGrams = list.lines.reduce((sum, line) => sum + line.quantity * line.weightGrams, 200);
      good(await post(list.id, "pack", { weightGrams }));
      return listOf(orderId);
    },
  };
}

/** Inventory and fulfillment over real stores, and a recorder in the place of orders. */
export async function startFloor() {
  const recorder = createRecorder();
  const cell = await startTestCell({ slices: [inventorySlice, fulfillmentSlice, recorder.definition] });
  /** Waits until these kinds of events of an order have come, in this order. */
  const said = (orderId: string, ...kinds: string[]) =>
    eventually(async () => {
      const found = recorder.of(orderId);
      const seen = found.map(({ type }) => type.split(".")[1]);
      if (seen.join() === kinds.join()) return found;
      throw new Error(`said ${seen.join()}, not ${kinds.join()}`);
    });
  return { cell, recorder, said, stop: () => cell.stop(), ...createFloor(cell) };
}
