import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { newUuid } from "../platform/ids.ts";
import { eventually } from "../platform/testing/stores.ts";
import { CENTER_AT, type Flow, good, startFlow } from "./testing/flow.ts";

let flow: Flow;
let couriers: string[] = [];
beforeAll(async () => {
  flow = await startFlow({ OFFER_ACK_SECONDS: "2" });
});
afterAll(() => flow.stop());
afterEach(async () => {
  // A courier who is left on shift would get the next test's parcel.
  for (const id of couriers) await flow.endShift(id);
  couriers = [];
});

const NEAR = CENTER_AT;
const FAR = { latitude: 37.52, longitude: 127.06 };

async function hireTwo(): Promise<[near: string, far: string]> {
  const pair: [string, string] = [await flow.hire(NEAR), await flow.hire(FAR)];
  couriers.push(...pair);
  return pair;
}

/** No event of an order still waits for its moment. */
async function expectNothingParked(orderId: string): Promise<void> {
  const sql = "SELECT event FROM orders.parked_event WHERE order_id = $1";
  expect(await flow.cell.sql.query(sql, [orderId])).toEqual([]);
}

test("from the order to the door: one package, one capture, and the position is hidden afterwards", async () => {
  await flow.fill({ "way-a": 10, "way-b": 10 });
  const [near] = await hireTwo();
  const placed = good(
    await flow.place([
      { sku: "way-a", quantity: 2 },
      { sku: "way-b", quantity: 1 },
    ]),
  );
  expect(placed).toMatchObject({ status: "reserved", total: { amountMinor: 3_000, currency: "KRW" } });
  expect(await flow.stock("way-a")).toMatchObject({ onHand: 10, allocated: 2, available: 8 });

  const packageBarcode = await flow.pickAndPack(placed.id);
  await flow.until(placed.id, "packed");
  expect(await flow.stock("way-a")).toMatchObject({ onHand: 8, allocated: 0, available: 8 });

  const offer = await flow.assignmentOf(placed.id, "offered");
  expect(offer.courierId).toBe(near);
  expect(good(await flow.assignment(offer.id, "ack")).state).toBe("assigned");
  await flow.until(placed.id, "courier_assigned");

  const fix = { courierId: near, seq: 1, ...FAR, deviceTime: new Date().toISOString() };
  const sent = good(await flow.post<{ accepted: number }>("courier", "tracking", "/v1/positions", fix));
  expect(sent).toEqual({ accepted: 1, ignored: 0 });
  const again = good(await flow.post<{ accepted: number }>("courier", "tracking", "/v1/positions", fix));
  expect(again).toEqual({ accepted: 0, ignored: 1 });
  const seen = await eventually(async () => {
    const now = await flow.tracking(placed.id);
    return now.position && now;
  });
  expect(seen).toMatchObject({ status: "on_the_way", position: FAR });
  expect(seen.etaSeconds).toBeGreaterThan(0);

  expect(await flow.assignment(offer.id, "handoff", { packageBarcode: "PKG-OTHER" })).toMatchObject({
    code: "unprocessable",
  });
  good(await flow.assignment(offer.id, "handoff", { packageBarcode }));
  await flow.until(placed.id, "out_for_delivery");
  expect(await flow.cancel(placed.id)).toMatchObject({ ok: false, code: "conflict" });
  good(await flow.assignment(offer.id, "arrive"));
  good(await flow.assignment(offer.id, "proof", { kind: "code", value: "1234" }));
  await flow.until(placed.id, "delivered");

  await eventually(async () => (await flow.order(placed.id)).paymentStatus === "captured");
  const { totals } = await flow.psp.ledger(`?reference=${placed.id}`);
  expect(totals).toMatchObject({ authorizations: 1, captures: 1, capturedMinor: 3_000, open: 0, voided: 0 });
  const hidden = await eventually(async () => {
    const now = await flow.tracking(placed.id);
    return now.status === "delivered" && now;
  });
  expect(hidden.position).toBeUndefined();
  await expectNothingParked(placed.id);
});

test("a declined payment: told, and the stock is back", async () => {
  await flow.fill({ "declined-a": 3 });
  const response = await flow.rawPlace([{ sku: "declined-a", quantity: 3 }], "tok_declined");
  expect(response.status).toBe(402);
  // The order exists: the gateway must not take it elsewhere.
  expect(response.headers.get("x-cells-refusal")).toBeNull();
  const problem = (await response.json()) as { code: string; orderId: string };
  expect(problem.code).toBe("payment-declined");
  const { orderId } = problem;
  expect(await flow.order(orderId)).toMatchObject({ status: "payment_failed", paymentStatus: "declined" });
  expect(await flow.stock("declined-a")).toMatchObject({
    onHand: 3,
    reserved: 0,
    allocated: 0,
    available: 3,
  });
  await eventually(async () => (await flow.tracking(orderId)).status === "cancelled");
});

test("out of stock: refused with the cell's signature", async () => {
  await flow.fill({ "scarce-a": 1 });
  const response = await flow.rawPlace([{ sku: "scarce-a", quantity: 2 }]);
  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({
    code: "out-of-stock",
    short: [{ sku: "scarce-a", requested: 2, available: 1 }],
  });
  expect(response.headers.get("x-cells-refusal")).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  expect(await flow.stock("scarce-a")).toMatchObject({ reserved: 0, allocated: 0, available: 1 });
});

test("twenty at once with one key: one order, one allocation, one authorization", async () => {
  await flow.fill({ "once-a": 50 });
  const key = newUuid();
  const place = () => flow.place([{ sku: "once-a", quantity: 1 }], { key });
  const first = await Promise.all(Array.from({ length: 20 }, place));
  const placed = good(
    await eventually(async () => {
      const answer = await place();
      return answer.ok && answer;
    }),
  );
  for (const answer of first)
    if (answer.ok) expect(answer.body.id).toBe(placed.id);
    else expect(["request-in-progress", "outcome-unknown"]).toContain(answer.code);
  expect(await flow.stock("once-a")).toMatchObject({ reserved: 0, allocated: 1, available: 49 });
  expect((await flow.psp.ledger(`?reference=${placed.id}`)).totals.authorizations).toBe(1);
});

test("cancelled before picking: stock and money are back, and nobody can pick it", async () => {
  await flow.fill({ "early-a": 4 });
  const { id } = good(await flow.place([{ sku: "early-a", quantity: 4 }]));
  const list = await flow.pickListOf(id);
  expect(good(await flow.cancel(id)).status).toBe("cancelled");
  await eventually(async () => (await flow.order(id)).paymentStatus === "voided");
  await eventually(async () => (await flow.stock("early-a")).available === 4);
  await eventually(async () => (await flow.pickListOf(id)).state === "cancelled");
  const start = await flow.post("picker", "fulfillment", `/v1/pick-lists/${list.id}/start`, { tote: "T" });
  expect(start).toMatchObject({ ok: false, code: "conflict" });
  expect((await flow.psp.ledger(`?reference=${id}`)).totals).toMatchObject({
    captures: 0,
    voided: 1,
    open: 0,
  });
});

test("cancelled while it is picked: what is in the tote goes back, then the money", async () => {
  await flow.fill({ "late-a": 5, "late-b": 5 });
  const { id } = good(
    await flow.place([
      { sku: "late-a", quantity: 2 },
      { sku: "late-b", quantity: 3 },
    ]),
  );
  const list = await flow.start(await flow.pickListOf(id));
  good(await flow.scan(list, 0));
  expect(await flow.stock("late-a")).toMatchObject({ onHand: 3, allocated: 0 });
  await eventually(async () => (await flow.order(id)).state === "picking");
  good(await flow.cancel(id));
  await eventually(async () => (await flow.pickListOf(id)).state === "cancelling");
  expect(await flow.scan(list, 1)).toMatchObject({ ok: false, code: "conflict" });
  expect((await flow.order(id)).state).toBe("cancelling");
  good(await flow.post("picker", "fulfillment", `/v1/pick-lists/${list.id}/putback`));
  await eventually(async () => {
    const { state, paymentStatus } = await flow.order(id);
    return state === "cancelled" && paymentStatus === "voided";
  });
  for (const sku of ["late-a", "late-b"])
    expect(await flow.stock(sku)).toMatchObject({ onHand: 5, allocated: 0, reserved: 0, available: 5 });
});

test("a wrong article or bin changes no stock; a scan that comes twice counts once", async () => {
  await flow.fill({ "scan-a": 5 });
  const { id } = good(await flow.place([{ sku: "scan-a", quantity: 2 }]));
  const list = await flow.start(await flow.pickListOf(id));
  expect(await flow.scan(list, 0, { barcode: "b-other" })).toMatchObject({ code: "unprocessable" });
  expect(await flow.scan(list, 0, { bin: { aisle: 99, position: 1, level: 0 } })).toMatchObject({
    code: "unprocessable",
  });
  expect(await flow.scan(list, 0, { quantity: 3 })).toMatchObject({ code: "unprocessable" });
  expect(await flow.stock("scan-a")).toMatchObject({ onHand: 5, allocated: 2 });
  const eventId = newUuid();
  good(await flow.scan(list, 0, { eventId, quantity: 1 }));
  const repeated = good(await flow.scan(list, 0, { eventId, quantity: 1 }));
  expect(repeated.lines[0]).toMatchObject({ picked: 1, short: 0 });
  expect(await flow.stock("scan-a")).toMatchObject({ onHand: 4, allocated: 1 });
});

test("the same scan id with other units is refused, whatever the first one did", async () => {
  await flow.fill({ "reused-a": 5 });
  const { id } = good(await flow.place([{ sku: "reused-a", quantity: 3 }]));
  const list = await flow.start(await flow.pickListOf(id));
  const eventId = newUuid();
  good(await flow.scan(list, 0, { eventId, quantity: 1 }));
  expect(await flow.scan(list, 0, { eventId, quantity: 2 })).toMatchObject({
    code: "idempotency-key-reused",
  });
  expect(await flow.stock("reused-a")).toMatchObject({ onHand: 4, allocated: 2 });
});

test("what is not on the shelf is not paid for", async () => {
  await flow.fill({ "gap-a": 5 });
  const [near] = await hireTwo();
  const { id } = good(await flow.place([{ sku: "gap-a", quantity: 3 }]));
  const list = await flow.start(await flow.pickListOf(id));
  good(await flow.scan(list, 0, { quantity: 2 }));
  const short = { eventId: newUuid(), lineId: list.lines[0]?.id, quantity: 1 };
  const path = `/v1/pick-lists/${list.id}`;
  good(await flow.post("picker", "fulfillment", `${path}/shorts`, short));
  expect(await flow.post("picker", "fulfillment", `${path}/pack`, { weightGrams: 9_000 })).toMatchObject({
    code: "conflict",
  });
  const { packageBarcode } = good(
    await flow.post<{ packageBarcode: string }>("picker", "fulfillment", `${path}/pack`, {
      weightGrams: 1_100,
    }),
  );
  const offer = await flow.assignmentOf(id, "offered");
  expect(offer.courierId).toBe(near);
  good(await flow.assignment(offer.id, "ack"));
  good(await flow.assignment(offer.id, "handoff", { packageBarcode }));
  good(await flow.assignment(offer.id, "proof", { kind: "photo", value: "p-1" }));
  const done = await flow.until(id, "partially_fulfilled");
  expect(done.shortLines).toEqual([{ sku: "gap-a", quantity: 1 }]);
  await eventually(async () => (await flow.order(id)).paymentStatus === "captured");
  expect((await flow.psp.ledger(`?reference=${id}`)).totals).toMatchObject({
    captures: 1,
    capturedMinor: 2_000,
  });
  expect(await flow.stock("gap-a")).toMatchObject({ onHand: 2, allocated: 0, available: 2 });
});

test("what is cancelled nobody goes for or pays for, and the courier goes where the customer is now", async () => {
  await flow.fill({ "less-a": 5, "less-b": 5 });
  const [near] = await hireTwo();
  const lines = [
    { sku: "less-a", quantity: 3 },
    { sku: "less-b", quantity: 1 },
  ];
  const { id } = good(await flow.place(lines));
  const contact = { name: "Test Person", phone: "+82 2 555 0100", address: "2 Example Lane" };
  const path = `/v1/orders/${id}`;
  good(await flow.post("customer", "orders", `${path}/delivery`, { deliverTo: NEAR, contact }));
  const less = { lines: [{ sku: "less-b", quantity: 1 }] };
  good(await flow.post("customer", "orders", `${path}/cancel`, less));
  const list = await eventually(async () => {
    const seen = await flow.pickListOf(id);
    return seen.lines.length === 1 && seen;
  });
  await flow.start(list);
  await eventually(async () => (await flow.order(id)).state === "picking");
  good(await flow.scan(list, 0, { quantity: 2 }));
  // The picker has two; the third one may still go, and then there is nothing left to pick.
  const tooMuch = { lines: [{ sku: "less-a", quantity: 2 }] };
  expect(await flow.post("customer", "orders", `${path}/cancel`, tooMuch)).toMatchObject({
    code: "conflict",
  });
  good(await flow.post("customer", "orders", `${path}/cancel`, { lines: [{ sku: "less-a", quantity: 1 }] }));
  await eventually(async () => (await flow.order(id)).state === "picked");
  const { packageBarcode } = good(
    await flow.post<{ packageBarcode: string }>("picker", "fulfillment", `/v1/pick-lists/${list.id}/pack`, {
      weightGrams: 1_100,
    }),
  );
  const offer = await flow.assignmentOf(id, "offered");
  expect(offer).toMatchObject({ courierId: near, deliverTo: NEAR });
  good(await flow.assignment(offer.id, "ack"));
  good(await flow.assignment(offer.id, "handoff", { packageBarcode }));
  good(await flow.assignment(offer.id, "proof", { kind: "code", value: "1" }));
  const done = await flow.until(id, "delivered");
  expect(done).toMatchObject({ shortLines: [], due: { amountMinor: 2_000, currency: "KRW" } });
  await eventually(async () => (await flow.order(id)).paymentStatus === "captured");
  expect((await flow.psp.ledger(`?reference=${id}`)).totals).toMatchObject({
    captures: 1,
    capturedMinor: 2_000,
    open: 0,
  });
  expect(await flow.stock("less-a")).toMatchObject({ onHand: 3, allocated: 0, available: 3 });
  expect(await flow.stock("less-b")).toMatchObject({ onHand: 5, allocated: 0, available: 5 });
  await expectNothingParked(id);
});

test("an offer that nobody answers goes to the next courier", async () => {
  await flow.fill({ "silent-a": 2 });
  const [near, far] = await hireTwo();
  const { id } = good(await flow.place([{ sku: "silent-a", quantity: 1 }]));
  await flow.pickAndPack(id);
  const first = await flow.assignmentOf(id, "offered");
  expect(first.courierId).toBe(near);
  const second = await eventually(async () => {
    const found = await flow.assignmentOf(id, "offered");
    return found.id !== first.id && found;
  });
  expect(second.courierId).toBe(far);
  expect(await flow.assignment(first.id, "ack")).toMatchObject({ ok: false, code: "conflict" });
  expect(good(await flow.assignment(second.id, "ack")).state).toBe("assigned");
  await flow.until(id, "courier_assigned");
  await flow.drop(id);
});

test("a courier who gives back what was taken is not asked again while another one is free", async () => {
  await flow.fill({ "back-a": 2 });
  const [near, far] = await hireTwo();
  const { id } = good(await flow.place([{ sku: "back-a", quantity: 1 }]));
  await flow.pickAndPack(id);
  const first = await flow.assignmentOf(id, "offered");
  expect(first.courierId).toBe(near);
  good(await flow.assignment(first.id, "ack"));
  await flow.until(id, "courier_assigned");
  good(await flow.assignment(first.id, "decline"));
  const second = await flow.assignmentOf(id, "offered");
  expect(second.courierId).toBe(far);
  good(await flow.assignment(second.id, "ack"));
  await flow.until(id, "courier_assigned");
  await flow.drop(id);
});

test("the customer's stream follows the courier and ends with the delivery; a stranger gets none", async () => {
  await flow.fill({ "stream-a": 2 });
  const [near] = await hireTwo();
  const { id } = good(await flow.place([{ sku: "stream-a", quantity: 1 }]));
  await eventually(async () => (await flow.tracking(id)).promisedAt !== undefined);
  const screen = await flow.watch(id);
  await eventually(async () => screen.seen.length > 0);
  expect(screen.seen[0]).toMatchObject({ orderId: id, status: "waiting" });

  const packageBarcode = await flow.pickAndPack(id);
  const offer = await flow.assignmentOf(id, "offered");
  expect(offer.courierId).toBe(near);
  good(await flow.assignment(offer.id, "ack"));
  await eventually(async () => screen.seen.at(-1)?.status === "on_the_way");
  const fix = { courierId: near, seq: 1, ...FAR, deviceTime: new Date().toISOString() };
  good(await flow.post("courier", "tracking", "/v1/positions", fix));
  await eventually(async () => screen.seen.at(-1)?.position);
  expect(screen.seen.at(-1)).toMatchObject({ position: FAR });

  const stranger = flow.cell.as("u-stranger", "customer").tracking;
  expect(await stranger.call({ method: "GET", path: `/v1/tracking/${id}` })).toMatchObject({
    code: "not-found",
  });
  good(await flow.assignment(offer.id, "handoff", { packageBarcode }));
  good(await flow.assignment(offer.id, "proof", { kind: "code", value: "1" }));
  await screen.ended;
  const last = screen.seen.at(-1);
  expect(last?.status).toBe("delivered");
  expect(last?.position).toBeUndefined();
});

test("after a hundred rides a courier still sees the latest", async () => {
  const { sql } = flow.cell;
  const courierId = await flow.hire(FAR);
  await flow.endShift(courierId);
  await sql.query("INSERT INTO dispatch.job (order_id, state) VALUES ('ord-many', 'done')");
  await sql.query(
    `INSERT INTO dispatch.assignment (id, order_id, courier_id, state, ack_by)
     SELECT 'asg-' || (1000 + n), 'ord-many', $1, 'delivered', now() FROM generate_series(0, 100) AS n`,
    [courierId],
  );
  const path = `/v1/assignments?courierId=${courierId}`;
  const { assignments } = good(
    await flow.get<{ assignments: { id: string }[] }>("courier", "dispatch", path),
  );
  expect(assignments.map(({ id }) => id)).toEqual(
    Array.from({ length: 100 }, (_, index) => `asg-${1001 + index}`),
  );
});

test("a cancel and a handoff at once: the parcel goes or stays, never both", async () => {
  await flow.fill({ "cross-a": 6 });
  await hireTwo();
  for (let round = 0; round < 3; round++) {
    const { id } = good(await flow.place([{ sku: "cross-a", quantity: 1 }]));
    const packageBarcode = await flow.pickAndPack(id);
    const offer = await flow.assignmentOf(id, "offered");
    good(await flow.assignment(offer.id, "ack"));
    await flow.until(id, "courier_assigned");
    const [handoff, cancel] = await Promise.all([
      flow.assignment(offer.id, "handoff", { packageBarcode }),
      flow.cancel(id),
    ]);
    expect([handoff.ok, cancel.ok].filter(Boolean)).toHaveLength(1);
    const loser = handoff.ok ? cancel : handoff;
    expect(loser).toMatchObject({ ok: false, code: "conflict" });
    if (handoff.ok) {
      good(await flow.assignment(offer.id, "proof", { kind: "code", value: "1" }));
      await flow.until(id, "delivered");
    } else await flow.drop(id);
  }
});
