import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { fulfillmentSlice } from "../fulfillment/slice.ts";
import type { OrderAnswer } from "./contract.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

/** Orders whose payment a person looks at before the floor is told. */
let center: TestCenter;
beforeAll(async () => {
  center = await startCenter({ CENTER_LATITUDE: "37.5", CENTER_LONGITUDE: "127.03" }, [fulfillmentSlice]);
});
afterAll(() => center.stop());

const HIGH_UNITS = 900;
const totalsOf = async (id: string) => (await center.psp.ledger(`?reference=${id}`)).totals;
const intentOf = (id: string) => id.replace(/^ord_/, "int_");

/** A high amount of somebody who was never seen before. */
async function suspicious(): Promise<{ order: OrderAnswer; sku: string; user: string }> {
  const [sku, user] = [fresh("rev"), fresh("u-new")];
  await center.fill({ [sku]: HIGH_UNITS });
  const order = expectOk(await center.place([{ sku, quantity: HIGH_UNITS }], { user }));
  return { order, sku, user };
}

const decide = async (id: string, decision: "approve" | "refuse") =>
  expectOk(
    await center.cell.internal.payments.call({
      method: "POST",
      path: `/internal/intents/${intentOf(id)}/review`,
      body: { decision, actor: "u-staff" },
    }),
  );
const stateOf = async (id: string) => {
  const [row] = await center.cell.sql.query<{ state: string }>(
    "SELECT state FROM orders.orders WHERE id = $1",
    [id],
  );
  return row?.state;
};
const moves = async (id: string) =>
  (
    await center.cell.sql.query<{ event: string }>(
      "SELECT event FROM orders.state_log WHERE order_id = $1 AND outcome = 'applied' ORDER BY version",
      [id],
    )
  ).map(({ event }) => event);

test("stock and money are kept while somebody looks; approved, the order goes its way", async () => {
  const { order, sku, user } = await suspicious();
  expect(order).toMatchObject({ state: "review", status: "reserved", paymentStatus: "authorised" });
  expect(await center.stock(sku)).toMatchObject({ allocated: HIGH_UNITS, available: 0 });
  expect(await totalsOf(order.id)).toMatchObject({ authorizations: 1, open: 1 });
  expect(await moves(order.id)).toEqual(["create", "reserve.ok", "review.ask"]);
  await decide(order.id, "approve");
  await eventually(async () => (await stateOf(order.id)) === "confirmed");
  await center.deliver(order.id, [{ sku, quantity: HIGH_UNITS }]);
  await eventually(async () => (await center.order(order.id, user)).paymentStatus === "captured");
  expect(await totalsOf(order.id)).toMatchObject({ captures: 1, capturedMinor: HIGH_UNITS * 1_000 });
});

test("refused, stock and money are given back, once", async () => {
  const { order, sku, user } = await suspicious();
  await decide(order.id, "refuse");
  await eventually(async () => (await center.order(order.id, user)).paymentStatus === "voided");
  expect(await center.order(order.id, user)).toMatchObject({ state: "cancelled", status: "cancelled" });
  await eventually(async () => (await center.stock(sku)).available === HIGH_UNITS);
  expect(await totalsOf(order.id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("the customer may cancel it meanwhile, whole or in part, and have it sent elsewhere", async () => {
  const { order, sku, user } = await suspicious();
  const own = center.cell.as(user, "customer").orders;
  const say = (path: string, body: object) =>
    own.call<OrderAnswer>({ method: "POST", path: `/v1/orders/${order.id}${path}`, body });
  const less = { lines: [{ sku, quantity: 100 }] };
  expect(expectOk(await say("/cancel", less))).toMatchObject({
    state: "review",
    due: { amountMinor: (HIGH_UNITS - 100) * 1_000 },
  });
  const contact = { name: "A", phone: "+82 2 555 0100", address: "2 Example Lane" };
  const deliverTo = { latitude: 37.51, longitude: 127.04 };
  expectOk(await say("/delivery", { deliverTo, contact }));
  await decide(order.id, "approve");
  // The floor goes for what is left, and the parcel where the customer is now.
  const list = await eventually(async () => {
    const [row] = await center.cell.sql.query(
      `SELECT l.quantity, p.latitude, p.longitude FROM fulfillment.pick_list AS p
       JOIN fulfillment.pick_line AS l ON l.pick_list_id = p.id WHERE p.order_id = $1`,
      [order.id],
    );
    return row;
  });
  expect(list).toEqual({ quantity: HIGH_UNITS - 100, ...deliverTo });
  expect(await moves(order.id)).toEqual([
    ...["create", "reserve.ok", "review.ask", "lines.cancel", "delivery.change", "review.pass"],
  ]);

  const other = await suspicious();
  const cancelled = await center.cell.as(other.user, "customer").orders.call<OrderAnswer>({
    method: "POST",
    path: `/v1/orders/${other.order.id}/cancel`,
    body: {},
  });
  expect(expectOk(cancelled).state).toBe("cancelled");
  await eventually(async () => (await center.order(other.order.id, other.user)).paymentStatus === "voided");
  await eventually(async () => (await center.stock(other.sku)).available === HIGH_UNITS);
});

test("a decision that comes before the order asks for it waits, and is applied with the question", async () => {
  const { order } = await suspicious();
  // As if the order had been stopped just before its last step: the decision is there first.
  await center.cell.sql.query("UPDATE orders.orders SET state = 'reserved' WHERE id = $1", [order.id]);
  const data = { intentId: intentOf(order.id), decision: "approve", actor: "u-staff" };
  await center.tell("payments", "review_decided", order.id, data);
  expect(await stateOf(order.id)).toBe("reserved");
  const parked = await center.cell.sql.query("SELECT event FROM orders.parked_event WHERE order_id = $1", [
    order.id,
  ]);
  expect(parked).toEqual([{ event: "review.pass" }]);
});
