import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, freePorts } from "../../platform/testing/stores.ts";
import { createSigner, type PrivateKey } from "../../platform/trust.ts";
import { orderBody, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
const children: ChildProcess[] = [];
beforeAll(async () => {
  center = await startCenter();
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await center.stop();
});

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

/** Starts a copy of the slice that dies at this moment, places an order there, and waits until it is dead. */
async function placeAndDie(moment: string, user: string, method: string): Promise<void> {
  const [port] = await freePorts(1);
  const child = spawn(process.execPath, [join(import.meta.dirname, "testing", "replica.ts")], {
    env: { ...process.env, ...center.cell.env, DIE_AT: moment, PORT_ORDERS: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const ended = once(child, "exit");
  await Promise.race([once(child.stdout!, "data"), ended]);
  const jwk = JSON.parse(await readFile(join(center.cell.trustDir, "cell-key.jwk"), "utf8")) as PrivateKey;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  const request = fetch(`http://127.0.0.1:${port}/v1/orders`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await signer.token(center.cell.center)}`,
      "content-type": "application/json",
      "idempotency-key": "the-key",
      "x-cells-user": user,
      "x-cells-roles": "customer",
    },
    body: JSON.stringify(orderBody([{ sku: "crash-a", quantity: 1 }], method)),
  });
  await expect(request).rejects.toThrow();
  const [, signal] = (await ended) as [number | null, string | null];
  expect([moment, signal]).toEqual([moment, "SIGKILL"]);
}

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
  for (const { moment, user, method } of cases) await placeAndDie(moment, user, method);
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
