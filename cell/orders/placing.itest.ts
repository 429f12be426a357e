import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { verifySignature } from "../../platform/trust.ts";
import { BIN, expectOk, fresh, orderBody, startCenter, type TestCenter, USER } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center.stop());
beforeEach(async () => {
  for (const kind of ["down", "slow", "decline", "timeout_after_effect"] as const)
    await center.psp.fault(kind, 0);
});

const ledgerOf = (orderId: string) => center.psp.ledger(`?reference=${orderId}`);
const ordersOf = async (user: string) =>
  center.cell.sql.query<{ id: string; state: string }>("SELECT id, state FROM orders.orders WHERE sub = $1", [
    user,
  ]);
const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });

/** The answer as it came over the wire, headers included. */
async function rawPlace(lines: Parameters<TestCenter["place"]>[0], key: string): Promise<Response> {
  const { createSigner } = await import("../../platform/trust.ts");
  const { readFile } = await import("node:fs/promises");
  const jwk = JSON.parse(await readFile(`${center.cell.trustDir}/cell-key.jwk`, "utf8")) as object;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  return fetch(`${center.cell.url("orders")}/v1/orders`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await signer.token(center.cell.center)}`,
      "content-type": "application/json",
      "idempotency-key": key,
      "x-cells-user": USER,
      "x-cells-roles": "customer",
    },
    body: JSON.stringify(orderBody(lines)),
  });
}

test("an order is held, authorised, allocated and confirmed", async () => {
  await center.fill({ "flow-a": 10, "flow-b": 10 });
  const placed = expectOk(
    await center.place([
      { sku: "flow-a", quantity: 2, expectedPrice: won(1_000) },
      { sku: "flow-b", quantity: 3 },
    ]),
  );
  expect(placed).toMatchObject({ status: "reserved", paymentStatus: "authorised", total: won(5_000) });
  expect(await center.stock("flow-a")).toMatchObject({ allocated: 2, available: 8 });
  expect((await ledgerOf(placed.id)).totals).toMatchObject({ authorizations: 1, open: 1, captures: 0 });
});

test("twenty with one key at once are one order and one authorization", async () => {
  await center.fill({ "twenty-a": 100 });
  const user = fresh("u");
  const key = fresh("key");
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => center.place([{ sku: "twenty-a", quantity: 1 }], { user, key })),
  );
  const last = expectOk(await center.place([{ sku: "twenty-a", quantity: 1 }], { user, key }));
  for (const answer of answers)
    if (answer.ok) expect(answer.body.id).toBe(last.id);
    else expect(answer.code).toBe("request-in-progress");
  expect(await ordersOf(user)).toHaveLength(1);
  expect((await ledgerOf(last.id)).totals.authorizations).toBe(1);
  expect((await center.stock("twenty-a")).allocated).toBe(1);
});

test("another body under a key is refused", async () => {
  await center.fill({ "reuse-a": 10 });
  const user = fresh("u");
  const key = fresh("key");
  expectOk(await center.place([{ sku: "reuse-a", quantity: 1 }], { user, key }));
  const other = await center.place([{ sku: "reuse-a", quantity: 2 }], { user, key });
  expect(other).toMatchObject({ code: "idempotency-key-reused" });
  // Also when nobody remembers the first answer any more.
  await center.cell.sql.query("DELETE FROM orders.idempotency WHERE key = $1", [key]);
  const later = await center.place([{ sku: "reuse-a", quantity: 2 }], { user, key });
  expect(later).toMatchObject({ code: "idempotency-key-reused" });
  expect(await ordersOf(user)).toHaveLength(1);
});

test("without stock the order is refused under the cell's signature, and nothing is left behind", async () => {
  await center.fill({ "short-a": 1, "short-b": 5 });
  const key = fresh("key");
  const response = await rawPlace(
    [
      { sku: "short-b", quantity: 5 },
      { sku: "short-a", quantity: 2 },
    ],
    key,
  );
  expect(response.status).toBe(409);
  const problem = (await response.json()) as { code: string; short: { sku: string }[]; orderId: string };
  expect(problem).toMatchObject({ code: "out-of-stock", short: [{ sku: "short-a", requested: 2 }] });
  const refusal = response.headers.get("x-cells-refusal") ?? "";
  const [publicKey] = center.cell.publicKeys.keys;
  expect(await verifySignature(refusal, JSON.stringify(publicKey))).toEqual({
    key,
    code: "out-of-stock",
    center: center.cell.center,
  });
  expect(await center.stock("short-b")).toMatchObject({ allocated: 0, reserved: 0, available: 5 });
  expect((await center.order(problem.orderId)).status).toBe("rejected");
  expect((await ledgerOf(problem.orderId)).entries).toHaveLength(0);
});

test("a declined payment ends the order and gives the stock back", async () => {
  await center.fill({ "declined-a": 3 });
  const user = fresh("u");
  const answer = await center.place([{ sku: "declined-a", quantity: 3 }], { user, method: "tok_declined" });
  expect(answer).toMatchObject({ ok: false, code: "payment-declined" });
  const [order] = await ordersOf(user);
  expect(order?.state).toBe("payment_failed");
  expect(await center.stock("declined-a")).toMatchObject({ allocated: 0, reserved: 0, available: 3 });
  expect((await ledgerOf(order?.id ?? "")).totals.open).toBe(0);
});

test("stock that is lost after it was held: the authorization is given back before any money is taken", async () => {
  await center.fill({ "shrunk-a": 2 });
  const user = fresh("u");
  await center.psp.fault("slow", 600);
  const placing = center.place([{ sku: "shrunk-a", quantity: 2 }], { user });
  await eventually(async () => (await center.stock("shrunk-a")).reserved === 2);
  const lines = [{ sku: "shrunk-a", bin: BIN, onHandDelta: -1, damagedDelta: 0 }];
  const body = { adjustmentId: fresh("adj"), reason: "count", lines };
  const staff = center.cell.as("u-staff", "staff").inventory;
  expectOk(await staff.call({ method: "POST", path: "/v1/adjustments", body }));
  expect(await placing).toMatchObject({ ok: false, code: "out-of-stock" });
  await center.psp.fault("slow", 0);
  const [order] = await ordersOf(user);
  expect(order?.state).toBe("rejected");
  await eventually(async () => (await ledgerOf(order?.id ?? "")).totals.voided === 1);
  expect((await ledgerOf(order?.id ?? "")).totals).toMatchObject({ authorizations: 1, captures: 0, open: 0 });
  expect(await center.stock("shrunk-a")).toMatchObject({ onHand: 1, allocated: 0, reserved: 0 });
});

test("a price that the customer was not shown is told and not charged", async () => {
  await center.fill({ "price-a": 3 });
  await center.price("price-a", 1_200);
  const key = fresh("key");
  const response = await rawPlace([{ sku: "price-a", quantity: 1, expectedPrice: won(1_000) }], key);
  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({ code: "price-changed", changed: [{ price: won(1_200) }] });
  expect(response.headers.get("x-cells-refusal")).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  const placed = expectOk(await center.place([{ sku: "price-a", quantity: 1, expectedPrice: won(1_200) }]));
  expect(placed.total).toEqual(won(1_200));
});

test("an unknown SKU, another currency and too many lines are refused", async () => {
  expect(await center.place([{ sku: "nobody-sells-this", quantity: 1 }])).toMatchObject({
    code: "unprocessable",
  });
  const lines = Array.from({ length: 101 }, (_, index) => ({ sku: `many-${index}`, quantity: 1 }));
  expect(await center.place(lines)).toMatchObject({ code: "invalid-request" });
  expect(await center.place([{ sku: "flow-a", quantity: 0 }])).toMatchObject({ code: "invalid-request" });
  expect(await center.place([{ sku: "flow-a", quantity: 1_000 }])).toMatchObject({ code: "invalid-request" });
});

test("the same SKU on two lines is counted as one", async () => {
  await center.fill({ "double-a": 3 });
  const twice = [
    { sku: "double-a", quantity: 2 },
    { sku: "double-a", quantity: 2 },
  ];
  expect(await center.place(twice)).toMatchObject({ code: "out-of-stock" });
  const placed = expectOk(
    await center.place([
      { sku: "double-a", quantity: 2 },
      { sku: "double-a", quantity: 1 },
    ]),
  );
  expect(placed.total).toEqual(won(3_000));
  expect((await center.stock("double-a")).allocated).toBe(3);
});

test("a lost answer of the processor does not authorise twice", async () => {
  await center.fill({ "lost-a": 5 });
  const user = fresh("u");
  const key = fresh("key");
  await center.psp.fault("timeout_after_effect", 600);
  const first = await center.place([{ sku: "lost-a", quantity: 1 }], { user, key });
  await center.psp.fault("timeout_after_effect", 0);
  if (!first.ok) expect(["outcome-unknown", "request-in-progress", "unavailable"]).toContain(first.code);
  const [order] = await ordersOf(user);
  await center.until(order?.id ?? "", "reserved");
  const again = expectOk(await center.place([{ sku: "lost-a", quantity: 1 }], { user, key }));
  expect(again.id).toBe(order?.id);
  expect((await ledgerOf(again.id)).totals).toMatchObject({ authorizations: 1, open: 1 });
});

test("with the processor down the customer is told so, and the same key works when it is back", async () => {
  await center.fill({ "down-a": 2 });
  const user = fresh("u");
  const key = fresh("key");
  await center.psp.fault("down", 600);
  const codes = new Set<string>();
  for (let tries = 0; tries < 6 && !codes.has("processor-unavailable"); tries++) {
    const answer = await center.place([{ sku: "down-a", quantity: 2 }], { user, key });
    if (!answer.ok) codes.add(answer.code);
  }
  expect(codes).toContain("processor-unavailable");
  await center.psp.fault("down", 0);
  const placed = expectOk(await center.place([{ sku: "down-a", quantity: 2 }], { user, key }));
  expect(placed.status).toBe("reserved");
  const live = (await ordersOf(user)).filter(({ state }) => state === "confirmed");
  expect(live).toHaveLength(1);
  expect(await center.stock("down-a")).toMatchObject({ allocated: 2, available: 0 });
});

test("many at once: each is answered, none is lost, the books agree", async () => {
  await center.fill({ "burst-a": 1_000 });
  const user = fresh("u");
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => center.place([{ sku: "burst-a", quantity: 1 }], { user })),
  );
  expect(answers.filter(({ ok }) => !ok)).toEqual([]);
  expect((await ordersOf(user)).filter(({ state }) => state === "confirmed")).toHaveLength(100);
  expect((await center.stock("burst-a")).allocated).toBe(100);
});

test("a contact is stored encrypted, and told only to its owner and to staff", async () => {
  await center.fill({ "contact-a": 1 });
  const placed = expectOk(await center.place([{ sku: "contact-a", quantity: 1 }]));
  const rows = await center.cell.sql.query<{ ciphertext: Buffer }>(
    "SELECT ciphertext FROM orders.contact WHERE order_id = $1",
    [placed.id],
  );
  expect(rows[0]?.ciphertext.toString("latin1")).not.toContain("Example Street");
  const path = `/v1/orders/${placed.id}/contact`;
  const own = await center.cell.as(USER, "customer").orders.call({ method: "GET", path });
  expect(own).toMatchObject({ ok: true, body: { address: "1 Example Street" } });
  const other = await center.cell.as("u-other", "customer").orders.call({ method: "GET", path });
  expect(other).toMatchObject({ ok: false, code: "not-found" });
  for (const table of [
    "orders.orders",
    "orders.state_log",
    "orders.outbox",
    "orders.saga",
    "orders.idempotency",
  ]) {
    const [hit] = await center.cell.sql.query<{ hits: number }>(
      `SELECT count(*)::INT8 AS hits FROM ${table} AS t WHERE t::TEXT LIKE '%Example Street%' OR t::TEXT LIKE '%555 0100%'`,
    );
    expect([table, hit?.hits]).toEqual([table, 0]);
  }
  // The place itself is told to within a hundred metres: whose door it is stands in the contact alone.
  const [kept] = await center.cell.sql.query("SELECT latitude, longitude FROM orders.orders WHERE id = $1", [
    placed.id,
  ]);
  expect(kept).toEqual({ latitude: 37.5, longitude: 127.03 });
});

test("a closed key makes no order; one that has an order stays that order's", async () => {
  await center.fill({ "closed-a": 40 });
  const close = async (sub: string, key: string) =>
    expectOk(
      await center.cell.as("gateway").orders.call<{ orderId?: string }>({
        method: "POST",
        path: "/internal/keys/close",
        body: { sub, key },
      }),
    );
  const lines = [{ sku: "closed-a", quantity: 1 }];
  const [shut, used] = [fresh("key"), fresh("key")];
  expect(await close(USER, shut)).toEqual({});
  expect(await close(USER, shut)).toEqual({});
  const refused = await rawPlace(lines, shut);
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({ code: "key-closed" });
  expect(refused.headers.get("x-cells-refusal")).toBeTruthy();
  const placed = expectOk(await center.place(lines, { key: used }));
  expect(await close(USER, used)).toEqual({ orderId: placed.id });
  expect(expectOk(await center.place(lines, { key: used })).id).toBe(placed.id);
  expect(await center.stock("closed-a")).toMatchObject({ allocated: 1 });
});

test("an order and the closing of its key at once: one of them comes first, and both know", async () => {
  await center.fill({ "close-race": 40 });
  for (let round = 0; round < 10; round++) {
    const key = fresh("key");
    const [placed, closed] = await Promise.all([
      center.place([{ sku: "close-race", quantity: 1 }], { key }),
      center.cell.as("gateway").orders.call<{ orderId?: string }>({
        method: "POST",
        path: "/internal/keys/close",
        body: { sub: USER, key },
      }),
    ]);
    const { orderId } = expectOk(closed);
    if (placed.ok) expect(orderId).toBe(placed.body.id);
    else {
      expect(placed.code).toBe("key-closed");
      expect(orderId).toBeUndefined();
    }
  }
});
