import type { Answer } from "../../../platform/fetch.ts";
import { newUuid } from "../../../platform/ids.ts";
import type { Failure } from "../../../platform/problem.ts";
import type { SliceDefinition } from "../../../platform/slice.ts";
import { startTestCell, type TestCell } from "../../../platform/testing/cell.ts";
import { eventually } from "../../../platform/testing/stores.ts";
import { startTestPsp, type TestPsp } from "../../../region/psp-sandbox/testing/psp.ts";
import type { Stock, StockAnswer } from "../../inventory/contract.ts";
import { inventorySlice } from "../../inventory/slice.ts";
import { paymentsSlice } from "../../payments/slice.ts";
import type { OrderAnswer } from "../contract.ts";
import { ordersSlice } from "../slice.ts";

export interface Line {
  readonly sku: string;
  readonly quantity: number;
  readonly expectedPrice?: { readonly amountMinor: number; readonly currency: string };
}

/** Orders, inventory and payments of one center over real stores, with a real processor. */
export interface TestCenter {
  readonly cell: TestCell;
  readonly psp: TestPsp;
  /** Registers SKUs at 1,000 won each and puts this many units of each on a shelf. */
  fill(units: Readonly<Record<string, number>>): Promise<void>;
  price(sku: string, amountMinor: number): Promise<void>;
  place(
    lines: readonly Line[],
    options?: { user?: string; key?: string; method?: string },
  ): Promise<Answer<OrderAnswer> | Failure>;
  order(id: string, user?: string): Promise<OrderAnswer>;
  cancel(id: string, user?: string): Promise<Answer<OrderAnswer> | Failure>;
  /** What the floor or the road would tell; `id` repeats an event. */
  tell(
    from: "fulfillment" | "dispatch" | "payments",
    type: string,
    orderId: string,
    data?: object,
    id?: string,
  ): Promise<void>;
  /** Waits until the order has this status. */
  until(
    id: string,
    status: OrderAnswer["status"],
    payment?: OrderAnswer["paymentStatus"],
  ): Promise<OrderAnswer>;
  stock(sku: string): Promise<Stock>;
  /** Says anything to orders about an order as a user of one role; `path` comes after the order's. */
  ask<T>(
    role: "customer" | "staff" | "picker",
    orderId: string,
    path: string,
    body: object,
    options?: { key?: string; ifMatch?: string; deadlineMs?: number },
  ): Promise<Answer<T> | Failure>;
  /** Has the floor take this much of an order off its shelf, in inventory alone. */
  pick(orderId: string, sku: string, quantity: number): Promise<Answer<unknown> | Failure>;
  /** Tells all that happens from picking to the door. */
  deliver(orderId: string, lines: readonly Line[]): Promise<void>;
  stop(): Promise<void>;
}

export const USER = "u-customer";
export const BIN = { aisle: 1, position: 1, level: 0 };
let numbers = 0;

/** A name that no other test of this run uses. */
export function fresh(prefix: string): string {
  return `${prefix}-${process.pid}-${numbers++}`;
}

/** The body of `POST /v1/orders` as the tests send it. */
export function orderBody(lines: readonly Line[], method = "tok_visa"): object {
  return {
    deliverTo: { latitude: 37.500012, longitude: 127.029987 },
    contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
    lines,
    payment: { method },
  };
}

/** Starts the center. */
export async function startCenter(
  env: Readonly<Record<string, string>> = {},
  more: readonly SliceDefinition[] = [],
): Promise<TestCenter> {
  const psp = await startTestPsp();
  const cell = await startTestCell({
    slices: [inventorySlice, paymentsSlice, ordersSlice, ...more],
    env: { PSP_URL: psp.url, MAX_ORDERS_PER_MINUTE: "100000", ...env },
  });
  const staff = cell.as("u-staff", "staff");
  const users = new Map<string, ReturnType<TestCell["as"]>>();
  const as = (user: string) => {
    const found = users.get(user) ?? cell.as(user, "customer");
    users.set(user, found);
    return found.orders;
  };

  async function price(sku: string, amountMinor: number): Promise<void> {
    const prices = [{ sku, price: { amountMinor, currency: "KRW" } }];
    expectOk(
      await staff.orders.call({
        method: "POST",
        path: "/v1/prices",
        body: { prices },
        idempotencyKey: fresh("price"),
      }),
    );
  }

  const roles = { customer: as(USER), staff: staff.orders, picker: cell.as("u-picker", "picker").orders };

  const tell: TestCenter["tell"] = async (from, type, orderId, data = {}, id = newUuid()) => {
    const body = {
      id,
      type: `${from}.${type}.v1`,
      source: `${cell.center}/${from}`,
      subject: orderId,
      time: new Date().toISOString(),
      version: 1,
      data: { orderId, ...data },
    };
    expectOk(await cell.internal.orders.call({ method: "POST", path: "/internal/events", body }));
  };

  async function order(id: string, user = USER): Promise<OrderAnswer> {
    return expectOk(await as(user).call<OrderAnswer>({ method: "GET", path: `/v1/orders/${id}` }));
  }

  return {
    cell,
    psp,
    price,
    order,
    async fill(units) {
      const skus = Object.keys(units).map((sku) => ({
        sku,
        barcode: `b-${sku}`,
        name: sku,
        weightGrams: 500,
        temperature: "ambient",
      }));
      expectOk(await staff.inventory.call({ method: "POST", path: "/v1/skus", body: { skus } }));
      const lines = Object.entries(units).map(([sku, quantity]) => ({ sku, bin: BIN, quantity }));
      const body = { receiptId: fresh("rcp"), lines };
      expectOk(await staff.inventory.call({ method: "POST", path: "/v1/receipts", body }));
      for (const sku of Object.keys(units)) await price(sku, 1_000);
    },
    place: (lines, { user = USER, key = fresh("key"), method = "tok_visa" } = {}) =>
      as(user).call<OrderAnswer>({
        method: "POST",
        path: "/v1/orders",
        body: orderBody(lines, method),
        idempotencyKey: key,
      }),
    cancel: (id, user = USER) =>
      as(user).call<OrderAnswer>({
        method: "POST",
        path: `/v1/orders/${id}/cancel`,
        body: {},
        idempotencyKey: fresh("cancel"),
      }),
    tell,
    ask: (role, orderId, path, body, { key = fresh("ask"), ifMatch, deadlineMs } = {}) =>
      roles[role].call({
        method: "POST",
        path: `/v1/orders/${orderId}${path}`,
        body,
        idempotencyKey: key,
        ...(ifMatch === undefined ? {} : { headers: { "if-match": ifMatch } }),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      }),
    pick: (orderId, sku, quantity) => {
      const actor = { kind: "human", id: "u-picker" };
      const body = { pickId: fresh("pick"), holdId: `hold:${orderId}`, sku, bin: BIN, quantity, actor };
      return cell.internal.inventory.call({ method: "POST", path: "/internal/picks", body });
    },
    async deliver(id, lines) {
      for (const type of ["picking_started", "picked"])
        await tell("fulfillment", type, id, { short: [], nothingPicked: false });
      await tell("fulfillment", "packed", id, { lines });
      for (const type of ["assigned", "handed_over", "arrived", "delivered"])
        await tell("dispatch", type, id);
    },
    until: (id, status, payment) =>
      eventually(async () => {
        const [found] = await cell.sql.query<{ sub: string }>("SELECT sub FROM orders.orders WHERE id = $1", [
          id,
        ]);
        const seen = await order(id, found?.sub);
        return seen.status === status && (payment === undefined || seen.paymentStatus === payment) && seen;
      }),
    async stock(sku) {
      const answer = expectOk(
        await staff.inventory.call<StockAnswer>({ method: "GET", path: `/v1/stock?sku=${sku}` }),
      );
      const found = answer.stock[0];
      if (!found) throw new Error(`no stock of ${sku}`);
      return found;
    },
    async stop() {
      await cell.stop();
      await psp.stop();
    },
  };
}

/** The body of a good answer; throws the problem of a bad one. */
export function expectOk<T>(answer: Answer<T> | Failure): T {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.body;
}
