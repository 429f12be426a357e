import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Answer } from "../../platform/fetch.ts";
import { newUuid } from "../../platform/ids.ts";
import type { Failure } from "../../platform/problem.ts";
import type { SliceName } from "../../platform/slices.ts";
import { startTestCell, type TestCell } from "../../platform/testing/cell.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { createSigner, type PrivateKey } from "../../platform/trust.ts";
import { startTestPsp, type TestPsp } from "../../region/psp-sandbox/testing/psp.ts";
import type { CourierAnswer } from "../couriers/contract.ts";
import type { AssignmentAnswer } from "../dispatch/contract.ts";
import type { PickListAnswer } from "../fulfillment/contract.ts";
import type { Stock, StockAnswer } from "../inventory/contract.ts";
import type { OrderAnswer } from "../orders/contract.ts";
import { CONSUMERS, SLICES } from "../roles.ts";
import type { TrackingAnswer } from "../tracking/contract.ts";

export const CENTER_AT = { latitude: 37.5, longitude: 127.03 };
export const HOME = { latitude: 37.51, longitude: 127.04 };
const CUSTOMER = "u-customer";
const UNIT_GRAMS = 500;

export interface FlowLine {
  readonly sku: string;
  readonly quantity: number;
}

type Reply<T = unknown> = Promise<Answer<T> | Failure>;

/** A whole center in one process, and the people who work with it. Every call goes over HTTP, every event over Kafka. */
export interface Flow {
  readonly cell: TestCell;
  readonly psp: TestPsp;
  /** Says anything to a slice as a user of one role. */
  post<T>(role: Role, slice: SliceName, path: string, body?: object, key?: string): Reply<T>;
  get<T>(role: Role, slice: SliceName, path: string): Reply<T>;
  /** SKUs at 1,000 won and 500 g, this many units of each, one bin per SKU. */
  fill(units: Readonly<Record<string, number>>): Promise<void>;
  stock(sku: string): Promise<Stock>;
  place(lines: readonly FlowLine[], options?: { key?: string; method?: string }): Reply<OrderAnswer>;
  /** The same as it goes over the wire, headers included. */
  rawPlace(lines: readonly FlowLine[], method?: string): Promise<Response>;
  order(id: string): Promise<OrderAnswer>;
  cancel(id: string): Reply<OrderAnswer>;
  until(id: string, status: OrderAnswer["status"]): Promise<OrderAnswer>;
  /** The pick list of an order, once the floor has it. */
  pickListOf(orderId: string): Promise<PickListAnswer>;
  start(list: PickListAnswer): Promise<PickListAnswer>;
  scan(list: PickListAnswer, line: number, change?: object): Reply<PickListAnswer>;
  /** Cancels an order that is under way and puts its goods back: it is in nobody's way any more. */
  drop(orderId: string): Promise<void>;
  /** Starts, scans all and packs; answers the package's barcode. */
  pickAndPack(orderId: string): Promise<string>;
  hire(at: { latitude: number; longitude: number }): Promise<string>;
  endShift(courierId: string): Promise<void>;
  /** The assignment of an order in this state, once there is one. */
  assignmentOf(orderId: string, state: AssignmentAnswer["state"]): Promise<AssignmentAnswer>;
  assignment(id: string, step: string, body?: object): Reply<AssignmentAnswer>;
  tracking(orderId: string): Promise<TrackingAnswer>;
  /** What the customer's screen is sent, until the stream ends by itself. */
  watch(orderId: string): Promise<{ seen: TrackingAnswer[]; ended: Promise<void> }>;
  stop(): Promise<void>;
}

export type Role = "customer" | "picker" | "courier" | "staff";

/** The body of a good answer; throws the problem of a bad one. */
export function good<T>(answer: Answer<T> | Failure): T {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.body;
}

/** Starts all seven slices and a processor. */
export async function startFlow(env: Readonly<Record<string, string>> = {}): Promise<Flow> {
  const psp = await startTestPsp();
  const cell = await startTestCell({
    slices: Object.values(SLICES),
    consumers: CONSUMERS,
    env: {
      PSP_URL: psp.url,
      MAX_ORDERS_PER_MINUTE: "100000",
      CENTER_LATITUDE: String(CENTER_AT.latitude),
      CENTER_LONGITUDE: String(CENTER_AT.longitude),
      ...env,
    },
  });
  const users = {
    customer: cell.as(CUSTOMER, "customer"),
    picker: cell.as("u-picker", "picker"),
    courier: cell.as("u-courier", "courier"),
    staff: cell.as("u-staff", "staff"),
  };
  const post: Flow["post"] = <T>(
    role: Role,
    slice: SliceName,
    path: string,
    body: object = {},
    key: string = newUuid(),
  ) => users[role][slice].call<T>({ method: "POST", path, body, idempotencyKey: key });
  const get: Flow["get"] = <T>(role: Role, slice: SliceName, path: string) =>
    users[role][slice].call<T>({ method: "GET", path });
  const common = { cell, psp, post, get };
  return {
    ...common,
    ...customers(common),
    ...floor(common),
    ...road(common),
    watch: (orderId) => watch(cell, orderId),
    async stop() {
      await cell.stop();
      await psp.stop();
    },
  };
}

type Common = Pick<Flow, "cell" | "psp" | "post" | "get">;

function customers({ cell, post, get }: Common) {
  let aisles = 0;
  const order = async (id: string) => good(await get<OrderAnswer>("customer", "orders", `/v1/orders/${id}`));
  return {
    order,
    async fill(units: Readonly<Record<string, number>>) {
      const names = Object.keys(units);
      const skus = names.map((sku) => ({
        sku,
        barcode: `b-${sku}`,
        name: sku,
        weightGrams: UNIT_GRAMS,
        temperature: "ambient",
      }));
      good(await post("staff", "inventory", "/v1/skus", { skus }));
      const lines = names.map((sku) => ({
        sku,
        bin: { aisle: ++aisles, position: 1, level: 0 },
        quantity: units[sku],
      }));
      good(await post("staff", "inventory", "/v1/receipts", { receiptId: newUuid(), lines }));
      const prices = names.map((sku) => ({ sku, price: { amountMinor: 1_000, currency: "KRW" } }));
      good(await post("staff", "orders", "/v1/prices", { prices }));
    },
    async stock(sku: string) {
      const { stock } = good(await get<StockAnswer>("staff", "inventory", `/v1/stock?sku=${sku}`));
      if (!stock[0]) throw new Error(`no stock of ${sku}`);
      return stock[0];
    },
    place: (lines: readonly FlowLine[], { key = newUuid(), method = "tok_visa" } = {}) =>
      post<OrderAnswer>("customer", "orders", "/v1/orders", orderBody(lines, method), key),
    rawPlace: async (lines: readonly FlowLine[], method = "tok_visa") =>
      fetch(`${cell.url("orders")}/v1/orders`, {
        method: "POST",
        headers: {
          ...(await customerHeaders(cell)),
          "content-type": "application/json",
          "idempotency-key": newUuid(),
        },
        body: JSON.stringify(orderBody(lines, method)),
      }),
    cancel: (id: string) => post<OrderAnswer>("customer", "orders", `/v1/orders/${id}/cancel`),
    until: (id: string, status: OrderAnswer["status"]) =>
      eventually(async () => {
        const seen = await order(id);
        if (seen.status !== status) throw new Error(`the order is ${seen.status} (${seen.state})`);
        return seen;
      }),
  };
}

/** What the gateway sends along for the customer. */
async function customerHeaders(cell: TestCell): Promise<Record<string, string>> {
  const jwk = JSON.parse(await readFile(join(cell.trustDir, "cell-key.jwk"), "utf8")) as PrivateKey;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  return {
    authorization: `Bearer ${await signer.token(cell.center)}`,
    "x-cells-user": CUSTOMER,
    "x-cells-roles": "customer",
  };
}

function orderBody(lines: readonly FlowLine[], method: string): object {
  return {
    deliverTo: HOME,
    contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
    lines,
    payment: { method },
  };
}

function floor({ post, get }: Common) {
  const pickListOf = (orderId: string) =>
    eventually(async () => {
      let cursor = "";
      for (;;) {
        const { pickLists, nextCursor } = good(
          await get<{ pickLists: PickListAnswer[]; nextCursor?: string }>(
            "picker",
            "fulfillment",
            `/v1/pick-lists?limit=100${cursor}`,
          ),
        );
        const found = pickLists.find((list) => list.orderId === orderId);
        if (found || nextCursor === undefined) return found;
        cursor = `&cursor=${nextCursor}`;
      }
    });
  const start = async (list: PickListAnswer) =>
    good(
      await post<PickListAnswer>("picker", "fulfillment", `/v1/pick-lists/${list.id}/start`, { tote: "T-1" }),
    );
  const scan = (list: PickListAnswer, index: number, change: object = {}) => {
    const line = list.lines[index];
    if (!line) throw new Error(`the pick list has no line ${index}`);
    const { id: lineId, bin, barcode, quantity } = line;
    const body = { eventId: newUuid(), lineId, bin, barcode, quantity, ...change };
    return post<PickListAnswer>("picker", "fulfillment", `/v1/pick-lists/${list.id}/scans`, body);
  };
  return {
    pickListOf,
    start,
    scan,
    async drop(orderId: string) {
      good(await post("customer", "orders", `/v1/orders/${orderId}/cancel`));
      const { id } = await eventually(async () => {
        const list = await pickListOf(orderId);
        return list.state === "cancelling" && list;
      });
      good(await post("picker", "fulfillment", `/v1/pick-lists/${id}/putback`));
      await eventually(async () => {
        const answer = await get<OrderAnswer>("customer", "orders", `/v1/orders/${orderId}`);
        return good(answer).state === "cancelled";
      });
    },
    async pickAndPack(orderId: string) {
      const list = await start(await pickListOf(orderId));
      for (const index of list.lines.keys()) good(await scan(list, index));
      const weightGrams = list.lines.reduce((sum, line) => sum + line.quantity * line.weightGrams, 200);
      const path = `/v1/pick-lists/${list.id}/pack`;
      const packed = await post<{ packageBarcode: string }>("picker", "fulfillment", path, { weightGrams });
      return good(packed).packageBarcode;
    },
  };
}

function road({ post, get }: Common) {
  return {
    async hire(at: { latitude: number; longitude: number }) {
      const body = { name: "Test Courier", vehicle: "bicycle" };
      const { id } = good(await post<CourierAnswer>("staff", "couriers", "/v1/couriers", body));
      good(await post("courier", "couriers", `/v1/couriers/${id}/shift/start`, at));
      return id;
    },
    async endShift(courierId: string) {
      good(await post("courier", "couriers", `/v1/couriers/${courierId}/shift/end`));
    },
    assignmentOf: (orderId: string, state: AssignmentAnswer["state"]) =>
      eventually(async () => {
        const { assignments } = good(
          await get<{ assignments: AssignmentAnswer[] }>(
            "courier",
            "dispatch",
            `/v1/assignments?state=${state}`,
          ),
        );
        return assignments.find((assignment) => assignment.orderId === orderId);
      }),
    assignment: (id: string, step: string, body: object = {}) =>
      post<AssignmentAnswer>("courier", "dispatch", `/v1/assignments/${id}/${step}`, body),
    tracking: async (orderId: string) =>
      good(await get<TrackingAnswer>("customer", "tracking", `/v1/tracking/${orderId}`)),
  };
}

async function watch(
  cell: TestCell,
  orderId: string,
): Promise<{ seen: TrackingAnswer[]; ended: Promise<void> }> {
  const url = `${cell.url("tracking")}/v1/tracking/${orderId}/stream`;
  const response = await fetch(url, { headers: await customerHeaders(cell) });
  if (!response.ok || !response.body) throw new Error(`the stream was answered ${response.status}`);
  const seen: TrackingAnswer[] = [];
  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (data !== undefined) seen.push(JSON.parse(data) as TrackingAnswer);
      }
    }
  };
  return { seen, ended: read(response.body) };
}
