import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import type { ReturnAnswer } from "./contract.ts";
import { createReturns } from "./returns.ts";
import { expectOk, fresh, type Line, startCenter, type TestCenter } from "./testing/center.ts";

/** Goods and money that come back. */
let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center.stop());
beforeEach(() => center.psp.fault("down", 0));

const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });
const totalsOf = async (id: string) => (await center.psp.ledger(`?reference=${id}`)).totals;

/** Picked off its shelf, brought to the door and paid. */
async function delivered(lines: readonly Line[]): Promise<string> {
  await center.fill(Object.fromEntries(lines.map(({ sku, quantity }) => [sku, quantity])));
  const { id } = expectOk(await center.place(lines));
  for (const { sku, quantity } of lines) expectOk(await center.pick(id, sku, quantity));
  await center.deliver(id, lines);
  return id;
}

async function paid(lines: readonly Line[]): Promise<string> {
  const id = await delivered(lines);
  await center.until(id, "delivered", "captured");
  return id;
}

const bring = (id: string, lines: readonly Line[], options = {}) =>
  center.ask<ReturnAnswer>(
    "customer",
    id,
    "/returns",
    { lines: lines.map((line) => ({ ...line, reason: "defective" })) },
    options,
  );
const floor = (returnId: string, step: "receive" | "inspect", body: object = {}, role = "picker") =>
  center.cell.as(`u-${role}`, role as "picker").orders.call<ReturnAnswer>({
    method: "POST",
    path: `/v1/returns/${returnId}/${step}`,
    body,
  });
const returnsOf = async (id: string) => {
  const path = `/v1/orders/${id}/returns`;
  const answer = await center.cell.as("u-staff", "staff").orders.call<{ returns: ReturnAnswer[] }>({
    method: "GET",
    path,
  });
  return expectOk(answer).returns;
};
const until = (id: string, state: ReturnAnswer["state"]) =>
  eventually(async () => (await returnsOf(id)).find((one) => one.state === state));
const refund = (id: string, amountMinor: number, options = {}) =>
  center.ask<{ id: string; state: string }>(
    "staff",
    id,
    "/refunds",
    { amount: won(amountMinor), reason: "late" },
    options,
  );

test("requested, received, inspected: sellable goods to the shelf, damaged ones to quarantine, the money back", async () => {
  const [a, b] = [fresh("ret-a"), fresh("ret-b")];
  const id = await paid([
    { sku: a, quantity: 3 },
    { sku: b, quantity: 2 },
  ]);
  const wish = [
    { sku: a, quantity: 2 },
    { sku: b, quantity: 1 },
  ];
  const key = fresh("key");
  const asked = expectOk(await bring(id, wish, { key }));
  expect(asked).toMatchObject({ state: "requested", refund: won(3_000), orderId: id });
  await center.cell.sql.query("DELETE FROM orders.idempotency WHERE key = $1", [key]);
  expect(expectOk(await bring(id, wish, { key }))).toEqual(asked);
  expect(
    await floor(asked.id, "inspect", { lines: [{ sku: a, quantity: 1, condition: "sellable" }] }),
  ).toMatchObject({ code: "too-early" });
  expect(expectOk(await floor(asked.id, "receive")).state).toBe("received");
  expect(expectOk(await floor(asked.id, "receive")).state).toBe("received");
  const lines = [
    { sku: a, quantity: 1, condition: "sellable" },
    { sku: a, quantity: 1, condition: "damaged" },
  ];
  expect(expectOk(await floor(asked.id, "inspect", { lines }))).toMatchObject({ refund: won(2_000) });
  await until(id, "closed");
  expectOk(await floor(asked.id, "inspect", { lines }));
  await center.until(id, "delivered", "partially_refunded");
  expect(await center.stock(a)).toMatchObject({ onHand: 2, damaged: 1, available: 1 });
  expect(await center.stock(b)).toMatchObject({ onHand: 0 });
  expect(await totalsOf(id)).toMatchObject({ captures: 1, refunds: 1, refundedMinor: 2_000 });
  const log = await center.cell.sql.query<{ event: string }>(
    "SELECT event FROM orders.return_log WHERE return_id = $1 ORDER BY version",
    [asked.id],
  );
  expect(log.map(({ event }) => event)).toEqual(["request", "receive", "inspect", "close"]);

  // What did not come can be brought another time, and then all of it has been given back.
  const rest = expectOk(
    await bring(id, [
      { sku: a, quantity: 1 },
      { sku: b, quantity: 2 },
    ]),
  );
  expectOk(await floor(rest.id, "receive"));
  const all = rest.lines.map(({ sku, quantity }) => ({ sku, quantity, condition: "sellable" }));
  expectOk(await floor(rest.id, "inspect", { lines: all }));
  await center.until(id, "refunded", "refunded");
  expect(await totalsOf(id)).toMatchObject({ refunds: 2, refundedMinor: 5_000 });
  expect(await bring(id, [{ sku: a, quantity: 1 }])).toMatchObject({ ok: false, code: "unprocessable" });
});

test("more than was delivered, another's order, too late or too soon: told, and nothing changes", async () => {
  const sku = fresh("ret-not");
  const id = await paid([{ sku, quantity: 2 }]);
  for (const lines of [[{ sku, quantity: 3 }], [{ sku: "no-such", quantity: 1 }]])
    expect(await bring(id, lines)).toMatchObject({ ok: false, code: "unprocessable" });
  for (const quantity of [0, -1, 0.5, 1_000])
    expect(await bring(id, [{ sku, quantity }])).toMatchObject({ ok: false, code: "invalid-request" });
  const path = `/v1/orders/${id}/returns`;
  const body = { lines: [{ sku, quantity: 1, reason: "other" }] };
  const stranger = center.cell.as("u-stranger", "customer").orders;
  expect(await stranger.call({ method: "POST", path, body })).toMatchObject({ code: "not-found" });
  expect(await stranger.call({ method: "GET", path })).toMatchObject({ code: "not-found" });
  expect(await floor(`ret_${center.cell.center}_none`, "receive")).toMatchObject({ code: "not-found" });
  expect(await returnsOf(id)).toEqual([]);

  const early = fresh("ret-early");
  await center.fill({ [early]: 1 });
  const open = expectOk(await center.place([{ sku: early, quantity: 1 }]));
  expect(await bring(open.id, [{ sku: early, quantity: 1 }])).toMatchObject({ ok: false, code: "conflict" });
  expect(await refund(open.id, 100)).toMatchObject({ ok: false, code: "conflict" });

  await center.cell.sql.query(
    "UPDATE orders.state_log SET at = at - INTERVAL '31 days' WHERE order_id = $1 AND event = 'proof'",
    [id],
  );
  expect(await bring(id, [{ sku, quantity: 1 }])).toMatchObject({ ok: false, code: "conflict" });
});

test("many wishes at once for the same goods: never more than there are", async () => {
  const sku = fresh("ret-many");
  const id = await paid([{ sku, quantity: 3 }]);
  const answers = await Promise.all(Array.from({ length: 6 }, () => bring(id, [{ sku, quantity: 1 }])));
  expect(answers.filter(({ ok }) => ok)).toHaveLength(3);
  expect(await returnsOf(id)).toHaveLength(3);
});

test("only who works there receives and inspects, and only staff give money away", async () => {
  const sku = fresh("ret-who");
  const id = await paid([{ sku, quantity: 1 }]);
  const { id: returnId } = expectOk(await bring(id, [{ sku, quantity: 1 }]));
  expect(await floor(returnId, "receive", {}, "customer")).toMatchObject({ ok: false, code: "forbidden" });
  for (const role of ["customer", "picker"] as const)
    expect(await center.ask(role, id, "/refunds", { amount: won(1), reason: "late" })).toMatchObject({
      code: "forbidden",
    });
  expect((await returnsOf(id))[0]?.state).toBe("requested");
});

test("nothing that may be taken back: no money, and the goods can be asked for again", async () => {
  const sku = fresh("ret-empty");
  const id = await paid([{ sku, quantity: 1 }]);
  const { id: returnId } = expectOk(await bring(id, [{ sku, quantity: 1 }]));
  expectOk(await floor(returnId, "receive"));
  const tooMany = { lines: [{ sku, quantity: 2, condition: "sellable" }] };
  expect(await floor(returnId, "inspect", tooMany)).toMatchObject({ ok: false, code: "unprocessable" });
  expect(expectOk(await floor(returnId, "inspect", { lines: [] })).state).toBe("rejected");
  expect(expectOk(await floor(returnId, "inspect", { lines: [] })).state).toBe("rejected");
  expect(await totalsOf(id)).toMatchObject({ refunds: 0 });
  expect((await bring(id, [{ sku, quantity: 1 }])).ok).toBe(true);
});

test("goods that never come: the return ends, and they can be asked for again", async () => {
  const sku = fresh("ret-late");
  const id = await paid([{ sku, quantity: 1 }]);
  const { id: returnId } = expectOk(await bring(id, [{ sku, quantity: 1 }]));
  await center.cell.sql.query(
    "UPDATE orders.return_case SET receive_by = now() - INTERVAL '1 minute' WHERE id = $1",
    [returnId],
  );
  const { sql, log } = center.cell.running("orders").context;
  const unused = () => Promise.reject(new Error("nothing is made or settled by an end"));
  const returns = createReturns({
    sql,
    log,
    returnDays: 30,
    newReturnId: () => "",
    settle: unused,
    carryOut: unused,
  });
  expect(await returns.expire(10)).toBe(1);
  expect(await returns.expire(10)).toBe(0);
  expect((await returnsOf(id))[0]?.state).toBe("expired");
  expect(await floor(returnId, "receive")).toMatchObject({ ok: false, code: "stale-transition" });
  expect((await bring(id, [{ sku, quantity: 1 }])).ok).toBe(true);
});

test("inspected while inventory is away and before the money was taken: all of it follows, once", async () => {
  const sku = fresh("ret-away");
  const lines = [{ sku, quantity: 2 }];
  await center.fill({ [sku]: 2 });
  const { id } = expectOk(await center.place(lines));
  expectOk(await center.pick(id, sku, 2));
  await center.psp.fault("down", 600);
  await center.deliver(id, lines);
  const { id: returnId } = expectOk(await bring(id, lines));
  expectOk(await floor(returnId, "receive"));
  await center.cell.stopSlice("inventory");
  try {
    const inspected = { lines: [{ sku, quantity: 2, condition: "sellable" }] };
    expectOk(await floor(returnId, "inspect", inspected));
    expect(expectOk(await floor(returnId, "inspect", inspected)).state).toBe("inspected");
  } finally {
    await center.cell.startSlice("inventory");
  }
  await eventually(async () => (await center.stock(sku)).available === 2, 60_000);
  expect(await totalsOf(id)).toMatchObject({ captures: 0, refunds: 0 });
  await center.psp.fault("down", 0);
  await eventually(async () => (await center.order(id)).status === "refunded", 60_000);
  expect((await returnsOf(id))[0]?.state).toBe("closed");
  expect(await totalsOf(id)).toMatchObject({ captures: 1, refunds: 1, refundedMinor: 2_000 });
  expect(await center.stock(sku)).toMatchObject({ onHand: 2 });
});

test("money without goods: never more than was taken, however many ask at once, and one key is one refund", async () => {
  const sku = fresh("ret-money");
  const id = await paid([{ sku, quantity: 3 }]);
  for (const amount of [
    { amountMinor: 0, currency: "KRW" },
    { amountMinor: -5, currency: "KRW" },
    { amountMinor: 0.5, currency: "KRW" },
  ])
    expect(await center.ask("staff", id, "/refunds", { amount, reason: "late" })).toMatchObject({
      code: "invalid-request",
    });
  const dollars = { amount: { amountMinor: 1, currency: "USD" }, reason: "late" };
  expect(await center.ask("staff", id, "/refunds", dollars)).toMatchObject({ code: "unprocessable" });
  const key = fresh("key");
  const first = expectOk(await refund(id, 1_000, { key }));
  await center.cell.sql.query("DELETE FROM orders.idempotency WHERE key = $1", [key]);
  expect(expectOk(await refund(id, 1_000, { key })).id).toBe(first.id);
  const answers = await Promise.all(Array.from({ length: 5 }, () => refund(id, 1_000)));
  expect(answers.filter(({ ok }) => ok)).toHaveLength(2);
  for (const answer of answers) if (!answer.ok) expect(answer).toMatchObject({ code: "unprocessable" });
  await center.until(id, "refunded", "refunded");
  expect(await totalsOf(id)).toMatchObject({ refunds: 3, refundedMinor: 3_000 });
  // Goods may still come back, but there is nothing left to give for them.
  const back = expectOk(await bring(id, [{ sku, quantity: 1 }]));
  expectOk(await floor(back.id, "receive"));
  const inspected = { lines: [{ sku, quantity: 1, condition: "sellable" }] };
  expect(expectOk(await floor(back.id, "inspect", inspected)).refund).toEqual(won(0));
  await until(id, "closed");
  expect(await center.stock(sku)).toMatchObject({ onHand: 1 });
  expect(await totalsOf(id)).toMatchObject({ refunds: 3, refundedMinor: 3_000 });
});

test("what inventory refuses is held for a person, without any money", async () => {
  const sku = fresh("ret-held");
  await center.fill({ [sku]: 1 });
  const { id } = expectOk(await center.place([{ sku, quantity: 1 }]));
  // Delivered by word alone: nobody has picked it, so inventory cannot have it back.
  await center.deliver(id, [{ sku, quantity: 1 }]);
  await center.until(id, "delivered", "captured");
  const { id: returnId } = expectOk(await bring(id, [{ sku, quantity: 1 }]));
  expectOk(await floor(returnId, "receive"));
  expectOk(await floor(returnId, "inspect", { lines: [{ sku, quantity: 1, condition: "sellable" }] }));
  await until(id, "held");
  expect(await totalsOf(id)).toMatchObject({ refunds: 0 });
  expect(await center.stock(sku)).toMatchObject({ onHand: 1 });
});

test("logs are appended to, never changed: the slice's own role has no right to", async () => {
  const { sql } = center.cell.running("orders").context;
  for (const table of ["orders.state_log", "orders.return_log"])
    for (const statement of [`UPDATE ${table} SET event = 'x'`, `DELETE FROM ${table}`])
      await expect(sql.query(statement)).rejects.toMatchObject({ code: "42501" });
});
