import { afterAll, beforeAll, expect, test } from "vitest";
import { drainAnswer } from "./contract.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

/** What a drain waits for, counted in a real database. */
let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center.stop());

const left = async () =>
  drainAnswer.parse(
    expectOk(await center.cell.internal.orders.call({ method: "GET", path: "/internal/drain" })),
  );

async function deliver(id: string, sku: string): Promise<void> {
  for (const type of ["picking_started", "picked"])
    await center.tell("fulfillment", type, id, { short: [], nothingPicked: false });
  await center.tell("fulfillment", "packed", id, { lines: [{ sku, quantity: 1 }] });
  for (const type of ["assigned", "handed_over", "arrived", "delivered"])
    await center.tell("dispatch", type, id);
  await center.until(id, "delivered", "captured");
}

const later = (change: string, id: string) =>
  center.cell.sql.query(
    `UPDATE orders.effect SET done = ${change}, next_at = now() + INTERVAL '1 hour' WHERE order_id = $1`,
    [id],
  );

test("orders count until they are final, and what is owed for a final one counts until it is done", async () => {
  expect(await left()).toEqual({ openOrders: 0, openEffects: 0 });
  await center.fill({ [`drain-${process.pid}`]: 2 });
  const sku = `drain-${process.pid}`;
  const first = expectOk(await center.place([{ sku, quantity: 1 }]));
  const second = expectOk(await center.place([{ sku, quantity: 1 }]));
  expect((await left()).openOrders).toBe(2);

  await deliver(first.id, sku);
  expect(await left()).toEqual({ openOrders: 1, openEffects: 0 });
  // As while the processor is away: the order is final, its money is not taken yet.
  await later("false", first.id);
  expect(await left()).toEqual({ openOrders: 1, openEffects: 1 });
  await later("true", first.id);

  expectOk(await center.cancel(second.id));
  await center.until(second.id, "cancelled", "voided");
  await expect.poll(left, { timeout: 60_000 }).toEqual({ openOrders: 0, openEffects: 0 });
});

test("a backlog is counted up to ten thousand, whatever there is", async () => {
  const prefix = fresh("backlog");
  await center.cell.sql.query(
    `INSERT INTO orders.effect (order_id, kind, next_at)
     SELECT $1 || n, 'capture', now() + INTERVAL '1 hour' FROM generate_series(1, 10001) AS n`,
    [prefix],
  );
  expect(await left()).toEqual({ openOrders: 0, openEffects: 10_000 });
  await center.cell.sql.query("DELETE FROM orders.effect WHERE order_id LIKE $1", [`${prefix}%`]);
  expect(await left()).toEqual({ openOrders: 0, openEffects: 0 });
});
