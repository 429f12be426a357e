import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { orderBody, startCenter, type TestCenter } from "./testing/center.ts";
import { dieOver } from "./testing/victim.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center.stop());

/** Every durable step of the good way, and both sides of every call in it. */
const FORWARD = [
  "before:/internal/holds",
  "after:/internal/holds",
  "step:forward:1",
  "before:/internal/intents",
  "after:/internal/intents",
  "step:forward:2",
  "before:/internal/allocations",
  "after:/internal/allocations",
  "step:forward:3",
  "step:done:3",
];
/** The same on the way back after a declined payment. */
const BACKWARD = [
  "step:backward:1",
  "before:/internal/intents/void",
  "after:/internal/intents/void",
  "step:backward:0",
  "before:/internal/holds/release",
  "after:/internal/holds/release",
  "step:backward:-1",
  "step:undone:-1",
];
const LIVENESS_MS = 150_000;

/** Repeats the request until it has an end, as a customer's app does. */
async function outcomeOf(user: string, method: string): Promise<string> {
  return eventually(
    async () => {
      const answer = await center.place([{ sku: "crash-a", quantity: 1 }], { user, key: "the-key", method });
      if (answer.ok) return answer.body.state;
      return answer.code === "payment-declined" && answer.code;
    },
    LIVENESS_MS,
    500,
  );
}

test("killed at any step: one order, one authorization, nothing left behind", {
  timeout: 2 * LIVENESS_MS,
}, async () => {
  await center.fill({ "crash-a": 100 });
  const cases = [
    ...FORWARD.map((moment) => ({ moment, method: "tok_visa", end: "confirmed" })),
    ...BACKWARD.map((moment) => ({ moment, method: "tok_declined", end: "payment-declined" })),
  ].map((one, index) => ({ ...one, user: `u-crash-${index}` }));
  // Nobody may take over before all have died: the survivors come later.
  await center.cell.stopSlice("orders");
  for (const { moment, user, method } of cases) {
    const body = orderBody([{ sku: "crash-a", quantity: 1 }], method);
    const wish = { user, role: "customer", path: "/v1/orders", body, key: "the-key" } as const;
    expect([moment, await dieOver(center, moment, wish)]).toEqual([moment, "SIGKILL"]);
  }
  await center.cell.startSlice("orders");

  const ends = await Promise.all(cases.map(({ user, method }) => outcomeOf(user, method)));
  expect(ends.map((end, index) => [cases[index]?.moment, end])).toEqual(
    cases.map(({ moment, end }) => [moment, end]),
  );
  const orders = await center.cell.sql.query<{ sub: string; id: string }>(
    "SELECT sub, id FROM orders.orders WHERE sub LIKE 'u-crash-%'",
  );
  expect(orders).toHaveLength(cases.length);
  expect(new Set(orders.map(({ sub }) => sub)).size).toBe(cases.length);
  for (const { sub, id } of orders) {
    const { totals } = await center.psp.ledger(`?reference=${id}`);
    const isDeclined = cases.find(({ user }) => user === sub)?.method === "tok_declined";
    expect([sub, totals.authorizations, totals.open]).toEqual([sub, 1, isDeclined ? 0 : 1]);
  }
  const stock = await center.stock("crash-a");
  expect(stock).toMatchObject({ allocated: FORWARD.length, onHand: 100 });
  await eventually(async () => (await center.stock("crash-a")).reserved === 0);
  const told = await center.cell.sql.query<{ order_id: string; times: number }>(
    "SELECT order_id, count(*)::INT8 AS times FROM orders.state_log WHERE event = 'confirm' GROUP BY order_id",
  );
  expect(told.map(({ times }) => times)).toEqual(FORWARD.map(() => 1));
});
