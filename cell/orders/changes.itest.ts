import { afterAll, beforeAll, expect, test } from "vitest";
import { startSlice } from "../../cell/host.ts";
import { freePorts } from "../../local/ports.ts";
import { createKafka } from "../../platform/kafka.ts";
import { silentLogger } from "../../platform/log.ts";
import { createRedis } from "../../platform/redis.ts";
import { cellEnvSchema } from "../../platform/slice.ts";
import { eventually } from "../../platform/testing/stores.ts";
import type { OrderAnswer } from "./contract.ts";
import { ordersSlice } from "./slice.ts";
import { expectOk, fresh, startCenter, type TestCenter, USER } from "./testing/center.ts";
import { gatewayHeaders } from "./testing/wire.ts";

/** What customers may still change: lines, address and time. */
let center: TestCenter;
beforeAll(async () => {
  center = await startCenter({ CENTER_LATITUDE: "37.5", CENTER_LONGITUDE: "127.03" });
});
afterAll(() => center.stop());

const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });
const cut = (id: string, lines: readonly { sku: string; quantity: number }[], options = {}) =>
  center.ask<OrderAnswer>("customer", id, "/cancel", { lines }, options);
const change = (id: string, body: object, options = {}) =>
  center.ask<OrderAnswer>("customer", id, "/delivery", body, options);
const totalsOf = async (id: string) => (await center.psp.ledger(`?reference=${id}`)).totals;
const applied = async (id: string) =>
  (
    await center.cell.sql.query<{ event: string }>(
      "SELECT event FROM orders.state_log WHERE order_id = $1 AND outcome = 'applied' ORDER BY version",
      [id],
    )
  ).map(({ event }) => event);

async function two(): Promise<{ id: string; a: string; b: string }> {
  const [a, b] = [fresh("cut-a"), fresh("cut-b")];
  await center.fill({ [a]: 10, [b]: 10 });
  const lines = [
    { sku: a, quantity: 3 },
    { sku: b, quantity: 2 },
  ];
  return { id: expectOk(await center.place(lines)).id, a, b };
}

test("cancelled lines go back to sale, and only the rest is charged", async () => {
  const { id, a, b } = await two();
  const key = fresh("key");
  const left = expectOk(await cut(id, [{ sku: a, quantity: 2 }], { key }));
  expect(left).toMatchObject({
    state: "confirmed",
    cancelledLines: [{ sku: a, quantity: 2 }],
    total: won(5_000),
    due: won(3_000),
  });
  expect(await center.stock(a)).toMatchObject({ allocated: 1, available: 9 });
  expect(expectOk(await cut(id, [{ sku: a, quantity: 2 }], { key }))).toEqual(left);
  expect(expectOk(await cut(id, [{ sku: b, quantity: 1 }])).due).toEqual(won(2_000));
  await center.deliver(id, [
    { sku: a, quantity: 1 },
    { sku: b, quantity: 1 },
  ]);
  const done = await center.until(id, "delivered", "captured");
  expect(done.shortLines).toEqual([]);
  expect(await totalsOf(id)).toMatchObject({ captures: 1, capturedMinor: 2_000, open: 0 });
});

test("the same cut again after its answer was lost and forgotten is the same cut", async () => {
  const { id, a } = await two();
  const key = fresh("key");
  expectOk(await cut(id, [{ sku: a, quantity: 1 }], { key }));
  await center.cell.sql.query("DELETE FROM orders.idempotency WHERE key = $1", [key]);
  const again = expectOk(await cut(id, [{ sku: a, quantity: 1 }], { key }));
  expect(again.cancelledLines).toEqual([{ sku: a, quantity: 1 }]);
  expect(await center.stock(a)).toMatchObject({ allocated: 2 });
});

test("the last line is the whole order", async () => {
  const { id, a, b } = await two();
  expectOk(await cut(id, [{ sku: a, quantity: 3 }]));
  expect(expectOk(await cut(id, [{ sku: b, quantity: 2 }])).state).toBe("cancelled");
  await center.until(id, "cancelled", "voided");
  await eventually(async () => (await center.stock(b)).available === 10);
  expect(await center.stock(a)).toMatchObject({ allocated: 0, available: 10 });
  expect(await totalsOf(id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("what a picker has taken stays in the order, and nothing changes", async () => {
  const { id, a } = await two();
  await center.tell("fulfillment", "picking_started", id);
  expectOk(await center.pick(id, a, 2));
  const before = await center.order(id);
  expect(await cut(id, [{ sku: a, quantity: 2 }])).toMatchObject({ ok: false, code: "conflict" });
  expect(await center.order(id)).toEqual(before);
  expect(await center.stock(a)).toMatchObject({ onHand: 8, allocated: 1 });
  const left = expectOk(await cut(id, [{ sku: a, quantity: 1 }]));
  expect(left).toMatchObject({ state: "picking", due: won(4_000) });
  expect(await center.stock(a)).toMatchObject({ onHand: 8, allocated: 0 });
});

test("lines that are not there, too many units or a late wish: told, and nothing changes", async () => {
  const { id, a, b } = await two();
  const before = await center.order(id);
  for (const lines of [[{ sku: "no-such", quantity: 1 }], [{ sku: a, quantity: 4 }]])
    expect(await cut(id, lines)).toMatchObject({ ok: false, code: "unprocessable" });
  for (const lines of [
    [],
    [{ sku: a, quantity: 0 }],
    [{ sku: a, quantity: -1 }],
    [{ sku: a, quantity: 1.5 }],
  ])
    expect(await cut(id, lines)).toMatchObject({ ok: false, code: "invalid-request" });
  expect(await cut(id, [{ sku: a, quantity: 1 }], { ifMatch: '"1"' })).toMatchObject({
    ok: false,
    code: "stale-transition",
    extra: { version: before.version },
  });
  expect(await cut(id, [{ sku: a, quantity: 1 }], { ifMatch: "one" })).toMatchObject({
    code: "invalid-request",
  });
  const stranger = center.cell.as("u-stranger", "customer").orders;
  const path = `/v1/orders/${id}/cancel`;
  const body = { lines: [{ sku: a, quantity: 1 }] };
  expect(await stranger.call({ method: "POST", path, body })).toMatchObject({ code: "not-found" });
  expect(await center.order(id)).toEqual(before);
  for (const type of ["picking_started", "picked"])
    await center.tell("fulfillment", type, id, { short: [], nothingPicked: false });
  expect(await cut(id, [{ sku: b, quantity: 1 }])).toMatchObject({ ok: false, code: "conflict" });
  expect(await center.stock(a)).toMatchObject({ allocated: 3 });
});

test("inventory is away: the customer is told to ask again, and the cut is finished without being asked", async () => {
  const { id, a } = await two();
  await center.cell.stopSlice("inventory");
  try {
    const answer = await cut(id, [{ sku: a, quantity: 1 }], { deadlineMs: Date.now() + 1_500 });
    expect(answer).toMatchObject({ ok: false });
    expect((await center.order(id)).cancelledLines).toEqual([]);
  } finally {
    await center.cell.startSlice("inventory");
  }
  await eventually(async () => (await center.order(id)).cancelledLines.length === 1, 60_000);
  expect(await center.stock(a)).toMatchObject({ allocated: 2, available: 8 });
});

test("many cuts at once, through two replicas: each unit is cancelled once", async () => {
  const sku = fresh("cut-many");
  await center.fill({ [sku]: 20 });
  const { id } = expectOk(await center.place([{ sku, quantity: 6 }]));
  const second = await secondReplica();
  try {
    const path = `/v1/orders/${id}/cancel`;
    const body = { lines: [{ sku, quantity: 2 }] };
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        index % 2 === 0 ? cut(id, body.lines) : second.post(path, body, fresh("key")),
      ),
    );
    expect(answers.filter(({ ok }) => ok).length).toBeGreaterThanOrEqual(3);
  } finally {
    await second.stop();
  }
  await center.until(id, "cancelled", "voided");
  await eventually(async () => (await center.stock(sku)).available === 20);
  expect((await applied(id)).filter((event) => event === "cancel")).toHaveLength(1);
  expect(await totalsOf(id)).toMatchObject({ captures: 0, voided: 1, open: 0 });
});

test("address and time change until picking begins; the contact stays encrypted", async () => {
  const { id } = await two();
  const contact = { name: "Another Person", phone: "+82 2 555 0199", address: "2 Example Lane" };
  const deliverTo = { latitude: 37.51, longitude: 127.05 };
  const promisedAt = new Date(Date.now() + 5 * 3_600_000).toISOString();
  const before = await center.order(id);
  const key = fresh("key");
  const ifMatch = `"${before.version}"`;
  const changed = expectOk(await change(id, { deliverTo, contact, promisedAt }, { key, ifMatch }));
  expect(changed).toMatchObject({ promisedAt, state: "confirmed", version: before.version + 1 });
  expect(expectOk(await change(id, { deliverTo, contact, promisedAt }, { key, ifMatch }))).toEqual(changed);
  const [row] = await center.cell.sql.query<object>(
    "SELECT latitude, longitude FROM orders.orders WHERE id = $1",
    [id],
  );
  expect(row).toEqual(deliverTo);
  const own = await center.cell.as(USER, "customer").orders.call({
    method: "GET",
    path: `/v1/orders/${id}/contact`,
  });
  expect(own).toMatchObject({ ok: true, body: contact });
  for (const table of ["orders.contact", "orders.orders", "orders.state_log", "orders.idempotency"]) {
    const [hit] = await center.cell.sql.query<{ hits: number }>(
      `SELECT count(*)::INT8 AS hits FROM ${table} AS t WHERE t::TEXT LIKE '%Example Lane%' OR t::TEXT LIKE '%555 0199%'`,
    );
    expect([table, hit?.hits]).toEqual([table, 0]);
  }
  expect(await applied(id)).toEqual(["create", "reserve.ok", "confirm", "delivery.change"]);
  await center.tell("fulfillment", "picking_started", id);
  expect(await change(id, { contact })).toMatchObject({ ok: false, code: "conflict" });
});

test("an address out of reach or a time that is none: told, and nothing changes", async () => {
  const { id } = await two();
  const before = await center.order(id);
  const contact = { name: "A", phone: "+82 2 555 0100", address: "Far Away" };
  const hours = (count: number) => new Date(Date.now() + count * 3_600_000).toISOString();
  for (const [body, code] of [
    [{ deliverTo: { latitude: 35.18, longitude: 129.08 }, contact }, "unprocessable"],
    [{ promisedAt: hours(-1) }, "unprocessable"],
    [{ promisedAt: hours(24 * 8) }, "unprocessable"],
    [{ promisedAt: "tomorrow" }, "invalid-request"],
    [{ deliverTo: { latitude: 37.5, longitude: 127 } }, "invalid-request"],
    [{ deliverTo: { latitude: 370, longitude: 127 }, contact }, "invalid-request"],
    [{}, "invalid-request"],
  ] as const)
    expect([body, await change(id, body)]).toMatchObject([body, { ok: false, code }]);
  expect(await change(id, { contact }, { ifMatch: '"1"' })).toMatchObject({ code: "stale-transition" });
  expect(await center.order(id)).toEqual(before);
});

test("a change and the first scan at once: whoever is second is told", async () => {
  for (let round = 0; round < 4; round++) {
    const { id } = await two();
    const promisedAt = new Date(Date.now() + 5 * 3_600_000).toISOString();
    const [done] = await Promise.all([
      change(id, { promisedAt }),
      center.tell("fulfillment", "picking_started", id),
    ]);
    const events = (await applied(id)).slice(3);
    expect(events).toEqual(done.ok ? ["delivery.change", "pick.start"] : ["pick.start"]);
    expect((await center.order(id)).promisedAt === promisedAt).toBe(done.ok);
  }
});

/** Another copy of the slice in this process, with its own pool and its own name for leases. */
async function secondReplica() {
  const [port] = await freePorts(1);
  const raw = { ...center.cell.env, PORT_ORDERS: String(port) };
  const env = cellEnvSchema.parse(raw);
  const log = silentLogger();
  const redis = createRedis({ url: env.REDIS_URL, log });
  const kafka = createKafka({ brokers: env.KAFKA_BROKERS.split(","), clientId: "second", log });
  const slice = await startSlice(ordersSlice, { env, raw, redis, kafka }, new Map());
  return {
    async post(path: string, body: object, key: string): Promise<{ ok: boolean }> {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: "POST",
        headers: await gatewayHeaders(center.cell, key),
        body: JSON.stringify(body),
      });
      return { ok: response.ok };
    },
    async stop() {
      await slice.stop();
      await kafka.close();
      await redis.close();
    },
  };
}
