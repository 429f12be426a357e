import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { replayDeadLetters } from "../../platform/consumer.ts";
import { newUuid } from "../../platform/ids.ts";
import { createKafka } from "../../platform/kafka.ts";
import { silentLogger } from "../../platform/log.ts";
import { eventually } from "../../platform/testing/stores.ts";
import type { OrderAnswer } from "./contract.ts";
import { buryOverdue } from "./overdue.ts";
import { expectOk, fresh, startCenter, type TestCenter, USER } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center.stop());
beforeEach(async () => {
  for (const kind of ["down", "slow", "decline", "timeout_after_effect"] as const)
    await center.psp.fault(kind, 0);
});

const ledgerOf = async (orderId: string) => (await center.psp.ledger(`?reference=${orderId}`)).totals;

async function confirmed(sku: string, quantity = 2): Promise<OrderAnswer> {
  await center.fill({ [sku]: quantity });
  return expectOk(await center.place([{ sku, quantity }]));
}

const FLOOR = ["picking_started", "picked"] as const;
const ROAD = ["assigned", "handed_over", "arrived", "delivered"] as const;

async function walk(id: string, sku: string, quantity: number): Promise<void> {
  for (const type of FLOOR) await center.tell("fulfillment", type, id, { short: [], nothingPicked: false });
  await center.tell("fulfillment", "packed", id, { lines: [{ sku, quantity }] });
  for (const type of ROAD) await center.tell("dispatch", type, id);
}

async function log(id: string): Promise<{ event: string; outcome: string; version: number }[]> {
  const answer = await center.cell.as(USER, "customer").orders.call<{ log: never[] }>({
    method: "GET",
    path: `/v1/orders/${id}/log`,
  });
  return expectOk(answer).log;
}

test("from picking to the door: each state is logged once, and the money is taken at the end", async () => {
  const { id } = await confirmed("walk-a");
  expect((await ledgerOf(id)).captures).toBe(0);
  await walk(id, "walk-a", 2);
  const done = await center.until(id, "delivered", "captured");
  expect(await ledgerOf(id)).toMatchObject({ captures: 1, capturedMinor: 2_000, open: 0 });
  const entries = await log(id);
  expect(entries.map(({ version }) => version)).toEqual(entries.map((_, index) => index + 1));
  expect(entries.at(-1)).toMatchObject({ event: "proof", version: done.version });
});

test("events in any order end in the same state", async () => {
  const { id } = await confirmed("order-a");
  await center.tell("dispatch", "delivered", id);
  await center.tell("dispatch", "assigned", id);
  await center.tell("fulfillment", "packed", id, { lines: [{ sku: "order-a", quantity: 2 }] });
  await center.tell("dispatch", "arrived", id);
  await center.tell("fulfillment", "picked", id, { short: [], nothingPicked: false });
  await center.tell("dispatch", "handed_over", id);
  expect((await center.order(id)).state).toBe("confirmed");
  await center.tell("fulfillment", "picking_started", id);
  await center.until(id, "delivered", "captured");
  const [parked] = await center.cell.sql.query<{ left: number }>(
    "SELECT count(*)::INT8 AS left FROM orders.parked_event WHERE order_id = $1",
    [id],
  );
  expect(parked?.left).toBe(0);
  expect(await ledgerOf(id)).toMatchObject({ captures: 1, capturedMinor: 2_000 });
});

test("an event that comes twice counts once", async () => {
  const { id } = await confirmed("twice-a");
  const event = newUuid();
  await center.tell("fulfillment", "picking_started", id, {}, event);
  const before = await center.order(id);
  await Promise.all(
    Array.from({ length: 5 }, () => center.tell("fulfillment", "picking_started", id, {}, event)),
  );
  expect((await center.order(id)).version).toBe(before.version);
});

test("a courier who is lost is followed by another one", async () => {
  const { id } = await confirmed("courier-a");
  await center.tell("fulfillment", "picking_started", id);
  await center.tell("fulfillment", "picked", id, { short: [], nothingPicked: false });
  await center.tell("fulfillment", "packed", id, { lines: [{ sku: "courier-a", quantity: 2 }] });
  await center.tell("dispatch", "assigned", id);
  await center.tell("dispatch", "unassigned", id);
  expect((await center.order(id)).status).toBe("packed");
  await center.tell("dispatch", "assigned", id);
  expect((await center.order(id)).status).toBe("courier_assigned");
});

test("what the floor could not find is not paid for", async () => {
  const { id } = await confirmed("partly-a", 5);
  await center.tell("fulfillment", "picking_started", id);
  await center.tell("fulfillment", "picked", id, {
    short: [{ sku: "partly-a", quantity: 2 }],
    nothingPicked: false,
  });
  await center.tell("fulfillment", "packed", id, { lines: [{ sku: "partly-a", quantity: 3 }] });
  for (const type of ROAD) await center.tell("dispatch", type, id);
  await center.until(id, "partially_fulfilled", "captured");
  expect(await ledgerOf(id)).toMatchObject({ captures: 1, capturedMinor: 3_000 });
});

test("when nothing could be found the order ends and the money is given back", async () => {
  const { id } = await confirmed("nothing-a");
  await center.tell("fulfillment", "picking_started", id);
  await center.tell("fulfillment", "picked", id, {
    short: [{ sku: "nothing-a", quantity: 2 }],
    nothingPicked: true,
  });
  await center.until(id, "cancelled", "voided");
  expect(await ledgerOf(id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("cancelled before picking: at once, stock and money are back, asking again is no mistake", async () => {
  const { id } = await confirmed("cancel-a", 3);
  expect(expectOk(await center.cancel(id))).toMatchObject({ status: "cancelled", state: "cancelled" });
  expect(expectOk(await center.cancel(id)).status).toBe("cancelled");
  await center.until(id, "cancelled", "voided");
  await eventually(async () => (await center.stock("cancel-a")).available === 3);
  expect(await ledgerOf(id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("cancelled while it is picked: it waits for the floor to put the goods back", async () => {
  const { id } = await confirmed("putback-a");
  await center.tell("fulfillment", "picking_started", id);
  expect(expectOk(await center.cancel(id)).state).toBe("cancelling");
  expect((await ledgerOf(id)).voided).toBe(0);
  await center.tell("fulfillment", "putback_done", id);
  await center.until(id, "cancelled", "voided");
  expect(await ledgerOf(id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("after the handover nothing can be cancelled", async () => {
  const { id } = await confirmed("late-a");
  await center.tell("fulfillment", "picking_started", id);
  await center.tell("fulfillment", "picked", id, { short: [], nothingPicked: false });
  await center.tell("fulfillment", "packed", id, { lines: [{ sku: "late-a", quantity: 2 }] });
  await center.tell("dispatch", "assigned", id);
  await center.tell("dispatch", "handed_over", id);
  expect(await center.cancel(id)).toMatchObject({ ok: false, code: "conflict" });
  expect((await center.order(id)).status).toBe("out_for_delivery");
});

test("a cancel and the first scan at once: one of them wins, never both", async () => {
  for (let round = 0; round < 5; round++) {
    const { id } = await confirmed(fresh("race"));
    await Promise.all([center.cancel(id), center.tell("fulfillment", "picking_started", id)]);
    const states = (await log(id)).filter(({ outcome }) => outcome === "applied").map(({ event }) => event);
    expect([
      ["create", "reserve.ok", "confirm", "cancel"],
      ["create", "reserve.ok", "confirm", "pick.start", "cancel"],
    ]).toContainEqual(states);
  }
});

test("delivered while the processor is down: delivered at once, captured once it is back", async () => {
  const { id } = await confirmed("queue-a");
  await center.psp.fault("down", 600);
  await walk(id, "queue-a", 2);
  expect((await center.order(id)).status).toBe("delivered");
  await eventually(async () => {
    const [row] = await center.cell.sql.query<{ status: string }>(
      "SELECT status FROM payments.intent WHERE order_id = $1",
      [id],
    );
    return row?.status === "capture_queued";
  });
  await center.psp.fault("down", 0);
  await center.until(id, "delivered", "captured");
  expect(await ledgerOf(id)).toMatchObject({ captures: 1, capturedMinor: 2_000 });
});

test("money that is given back shows, in part and in full", async () => {
  const { id } = await confirmed("refund-a");
  await walk(id, "refund-a", 2);
  await center.until(id, "delivered", "captured");
  const refund = async (refundId: string, amountMinor: number) =>
    expectOk(
      await center.cell.internal.payments.call({
        method: "POST",
        path: `/internal/intents/${id.replace(/^ord_/, "int_")}/refund`,
        body: { refundId, amount: { amountMinor, currency: "KRW" } },
      }),
    );
  await refund("r1", 500);
  await center.until(id, "delivered", "partially_refunded");
  await refund("r2", 1_500);
  await center.until(id, "refunded", "refunded");
  expect((await center.psp.ledger(`?reference=${id}`)).totals).toMatchObject({
    refunds: 2,
    refundedMinor: 2_000,
  });
});

test("somebody else's order is not there", async () => {
  const { id } = await confirmed("mine-a");
  const other = center.cell.as("u-somebody-else", "customer").orders;
  for (const path of ["", "/log", "/contact"])
    expect(await other.call({ method: "GET", path: `/v1/orders/${id}${path}` })).toMatchObject({
      ok: false,
      code: "not-found",
    });
  expect(await center.cancel(id, "u-somebody-else")).toMatchObject({ ok: false, code: "not-found" });
  const staff = center.cell.as("u-staff", "staff").orders;
  expect((await staff.call({ method: "GET", path: `/v1/orders/${id}` })).ok).toBe(true);
  const owner = await center.cell.internal.orders.call({
    method: "GET",
    path: `/internal/orders/${id}/owner`,
  });
  expect(owner).toMatchObject({ ok: true, body: { sub: USER } });
});

test("the list has one's own orders, in pages, newest first", async () => {
  const user = fresh("u-list");
  await center.fill({ "list-a": 10 });
  const ids: string[] = [];
  for (let made = 0; made < 5; made++)
    ids.push(expectOk(await center.place([{ sku: "list-a", quantity: 1 }], { user })).id);
  const client = center.cell.as(user, "customer").orders;
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const query: string = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = expectOk(
      await client.call<{ orders: OrderAnswer[]; nextCursor?: string }>({
        method: "GET",
        path: `/v1/orders?limit=2${query}`,
      }),
    );
    seen.push(...page.orders.map((order) => order.id));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(seen).toEqual(ids.reverse());
});

test("the summary tells stock and queue, and keeps its ETag while nothing changes", async () => {
  await center.fill({ "summary-a": 1 });
  const ask = (etag?: string) =>
    center.cell.internal.orders.call<{ skus: string[]; accepting: boolean }>({
      method: "GET",
      path: "/internal/summary",
      ...(etag === undefined ? {} : { headers: { "if-none-match": etag } }),
    });
  const first = await eventually(async () => {
    const answer = await ask();
    return answer.ok && answer.body.skus.includes("summary-a") && answer;
  });
  expect(first.body).toMatchObject({ accepting: true, center: center.cell.center, epoch: 1 });
  const second = await ask(first.headers.etag);
  expect(second).toMatchObject({ ok: true, status: 304 });
  await center.cell.stopSlice("inventory");
  try {
    await eventually(async () => {
      const answer = await ask();
      return answer.ok && answer.status === 200 && !answer.body.accepting;
    });
  } finally {
    await center.cell.startSlice("inventory");
  }
});

test("what fits no state for an hour goes to the dead letters whole, and a replay brings it back", async () => {
  const { id } = await confirmed("overdue-a");
  const { context } = center.cell.running("orders");
  const kafka = createKafka({
    brokers: (center.cell.env.KAFKA_BROKERS ?? "").split(","),
    clientId: "test",
    log: silentLogger(),
  });
  const bury = () => buryOverdue({ sql: context.sql, limit: 10, bury: context.bury });
  const parked = () =>
    center.cell.sql.query("SELECT event_id FROM orders.parked_event WHERE order_id = $1", [id]);
  try {
    await center.tell("dispatch", "assigned", id, { courierId: "cou-1" });
    expect(await bury()).toBe(0);
    expect(await parked()).toHaveLength(1);
    await center.cell.sql.query(
      "UPDATE orders.parked_event SET parked_at = now() - INTERVAL '61 minutes' WHERE order_id = $1",
      [id],
    );
    const away = () => Promise.reject(new Error("kafka is away"));
    await expect(buryOverdue({ sql: context.sql, limit: 10, bury: away })).rejects.toThrow("away");
    expect(await parked()).toHaveLength(1);
    expect(await bury()).toBe(1);
    expect([await parked(), await bury()]).toEqual([[], 0]);

    // The cause is gone: the floor has caught up.
    for (const type of FLOOR) await center.tell("fulfillment", type, id, { short: [], nothingPicked: false });
    await center.tell("fulfillment", "packed", id, { lines: [{ sku: "overdue-a", quantity: 2 }] });
    const options = { center: center.cell.center, slice: "orders", kafka, timeoutMs: 60_000 } as const;
    expect(await replayDeadLetters(options)).toBe(1);
    await eventually(async () =>
      (await log(id)).some(({ event, outcome }) => event === "offer.accepted" && outcome === "applied"),
    );
    expect(await parked()).toEqual([]);
  } finally {
    await kafka.close();
  }
});

test("an order answers under its key also when its saga is forgotten", async () => {
  const forget = (id: string) =>
    Promise.all([
      center.cell.sql.query("DELETE FROM orders.saga WHERE id = $1", [id]),
      center.cell.sql.query("DELETE FROM orders.idempotency"),
    ]);
  await center.fill({ "forgotten-a": 2 });
  const lines = [{ sku: "forgotten-a", quantity: 2 }];
  const [good, bad] = [fresh("key"), fresh("key")];
  const placed = expectOk(await center.place(lines, { key: good }));
  const refused = await center.place(lines, { key: bad });
  expect(refused).toMatchObject({ ok: false, code: "out-of-stock" });
  await forget(placed.id);
  expect(expectOk(await center.place(lines, { key: good }))).toEqual(placed);
  const [row] = await center.cell.sql.query<{ id: string }>(
    "SELECT id FROM orders.orders WHERE idempotency_key = $1",
    [bad],
  );
  await forget(row?.id ?? "");
  expect(await center.place(lines, { key: bad })).toMatchObject({ ok: false, code: "conflict" });
});
