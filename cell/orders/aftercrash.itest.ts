import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import type { ReturnAnswer } from "./contract.ts";
import { type CuttingDeps, createCutting } from "./cutting.ts";
import { intentIdOf } from "./effects.ts";
import { createSettling, type SettlingDeps } from "./settling.ts";
import { expectOk, fresh, startCenter, type TestCenter, USER } from "./testing/center.ts";
import { dieOver, type LastWish } from "./testing/victim.ts";

const SETUP_MS = 300_000;
const LIVENESS_MS = 90_000;
const UNITS = 5;

/** What comes after an order, cut off at every step: lines that are cancelled, goods and money that come back. */
let center: TestCenter;
let cuts: Case[];
let returned: Case[];
let refunded: Case[];
beforeAll(async () => {
  center = await startCenter();
  cuts = await casesOf(cutting.saga, prepareCut);
  returned = await casesOf(settling.returns, prepareReturn);
  refunded = await casesOf(settling.refunds, prepareRefund);
  // It is the first step that refuses a cut.
  cuts = cuts.filter(({ moment }) => moment !== "step:backward:1");
  await dieAtEach([...cuts, ...returned, ...refunded]);
}, SETUP_MS);
afterAll(() => center.stop());

const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });

/** The sibling that each step asks. A step that is missing here has no crash point, which is an error. */
const ASKS: Readonly<Record<string, string>> = {
  "release-lines": "/internal/allocations/release",
  "look-at-bins": "/internal/allocations",
  restock: "/internal/returns",
  refund: "/internal/intents/refund",
};

interface Saga {
  readonly steps: readonly string[];
}

/** Each durable move of a saga whose steps all go well, and both sides of what it asks. */
function forward({ steps }: Saga): string[] {
  const moments = steps.flatMap((name, position) => {
    const asked = ASKS[name];
    if (asked === undefined) throw new Error(`nobody knows whom the step ${name} asks`);
    return [`before:${asked}`, `after:${asked}`, `step:forward:${position + 1}`];
  });
  return [...moments, `step:done:${steps.length}`];
}

/** Each durable move of a saga whose last step is refused. */
function backward({ steps }: Saga): string[] {
  const moves = steps.map((_name, position) => `step:backward:${position}`).reverse();
  return [...moves, "step:backward:-1", "step:undone:-1"];
}

const cutting = createCutting({} as CuttingDeps);
const settling = createSettling({} as SettlingDeps);

/** One order to which something happens while a copy of the slice dies at `moment`. */
interface Case {
  readonly moment: string;
  readonly isRefused: boolean;
  readonly id: string;
  readonly sku: string;
  readonly wish: LastWish;
}

type Prepared = Omit<Case, "moment" | "isRefused">;

function casesOf(saga: Saga, prepare: (isRefused: boolean) => Promise<Prepared>): Promise<Case[]> {
  const moments = [
    ...forward(saga).map((moment) => ({ moment, isRefused: false })),
    ...backward(saga).map((moment) => ({ moment, isRefused: true })),
  ];
  return Promise.all(moments.map(async (one) => ({ ...one, ...(await prepare(one.isRefused)) })));
}

/** Nobody may take over before all have died: the survivors come later. */
async function dieAtEach(cases: readonly Case[]): Promise<void> {
  await center.cell.stopSlice("orders");
  for (const { moment, wish } of cases)
    expect([moment, await dieOver(center, moment, wish)]).toEqual([moment, "SIGKILL"]);
  await center.cell.startSlice("orders");
  await eventually(async () => {
    const [row] = await center.cell.sql.query<{ left: number }>(
      "SELECT count(*)::INT8 AS left FROM orders.saga WHERE direction IN ('forward', 'backward')",
    );
    return row?.left === 0;
  }, LIVENESS_MS);
}

/** What each case came to, beside what it should have come to. */
async function expectEach<T>(
  cases: readonly Case[],
  look: (one: Case) => Promise<T>,
  wanted: (one: Case) => T,
): Promise<void> {
  const seen = await Promise.all(cases.map(look));
  expect(seen.map((what, index) => [cases[index]?.moment, what])).toEqual(
    cases.map((one) => [one.moment, wanted(one)]),
  );
}

const totalsOf = async (id: string) => (await center.psp.ledger(`?reference=${id}`)).totals;

async function placed(): Promise<{ id: string; sku: string }> {
  const sku = fresh("after");
  await center.fill({ [sku]: UNITS });
  return { id: expectOk(await center.place([{ sku, quantity: 2 }])).id, sku };
}

async function paid(): Promise<{ id: string; sku: string }> {
  const { id, sku } = await placed();
  expectOk(await center.pick(id, sku, 2));
  await center.deliver(id, [{ sku, quantity: 2 }]);
  await center.until(id, "delivered", "captured");
  return { id, sku };
}

/** Gives all of the money back behind the order's back, so that the processor's books refuse what orders wants to give. */
async function emptyTill(id: string): Promise<void> {
  const path = `/internal/intents/${intentIdOf(id)}/refund`;
  const refundId = fresh("behind");
  const body = { refundId, amount: won(2_000) };
  const call = { method: "POST", path, body, idempotencyKey: refundId } as const;
  expectOk(await center.cell.internal.payments.call(call));
}

async function prepareCut(isRefused: boolean): Promise<Prepared> {
  const { id, sku } = await placed();
  if (isRefused) expectOk(await center.pick(id, sku, 2));
  const body = { lines: [{ sku, quantity: 1 }] };
  const path = `/v1/orders/${id}/cancel`;
  return { id, sku, wish: { user: USER, role: "customer", path, body, key: fresh("key") } };
}

async function prepareReturn(isRefused: boolean): Promise<Prepared> {
  const picker = center.cell.as("u-picker", "picker").orders;
  const { id, sku } = await paid();
  const lines = [{ sku, quantity: 1, reason: "defective" }];
  const asked = expectOk(await center.ask<ReturnAnswer>("customer", id, "/returns", { lines }));
  const path = `/v1/returns/${asked.id}`;
  expectOk(await picker.call({ method: "POST", path: `${path}/receive`, body: {} }));
  if (isRefused) await emptyTill(id);
  const body = { lines: [{ sku, quantity: 1, condition: "sellable" }] };
  const wish = {
    user: "u-picker",
    role: "picker",
    path: `${path}/inspect`,
    body,
    key: fresh("key"),
  } as const;
  return { id, sku, wish };
}

async function prepareRefund(isRefused: boolean): Promise<Prepared> {
  const { id, sku } = await paid();
  if (isRefused) await emptyTill(id);
  const body = { amount: won(500), reason: "late" };
  const path = `/v1/orders/${id}/refunds`;
  return { id, sku, wish: { user: "u-staff", role: "staff", path, body, key: fresh("key") } };
}

test("a cut: the units are given back once, or not at all", async () => {
  await expectEach(
    cuts,
    async ({ id, sku }) => {
      const { due, cancelledLines } = await center.order(id);
      const { onHand, allocated } = await center.stock(sku);
      return { due, cancelled: cancelledLines.map(({ quantity }) => quantity), onHand, allocated };
    },
    ({ isRefused }) =>
      isRefused
        ? { due: won(2_000), cancelled: [], onHand: UNITS - 2, allocated: 0 }
        : { due: won(1_000), cancelled: [1], onHand: UNITS, allocated: 1 },
  );
});

test("a return: goods and money come back once; without the money a person hears of it", async () => {
  const staff = center.cell.as("u-staff", "staff").orders;
  await expectEach(
    returned,
    async ({ id, sku }) => {
      const path = `/v1/orders/${id}/returns`;
      const { returns } = expectOk(await staff.call<{ returns: ReturnAnswer[] }>({ method: "GET", path }));
      const { refunds, refundedMinor } = await totalsOf(id);
      const { onHand } = await center.stock(sku);
      return { states: returns.map(({ state }) => state), refunds, refundedMinor, onHand };
    },
    ({ isRefused }) => ({
      states: [isRefused ? "held" : "closed"],
      refunds: 1,
      refundedMinor: isRefused ? 2_000 : 1_000,
      onHand: UNITS - 1,
    }),
  );
});

test("a refund: given once, or refused and said so", async () => {
  await expectEach(
    refunded,
    async ({ id }) => {
      const [row] = await center.cell.sql.query<{ state: string }>(
        "SELECT state FROM orders.refund WHERE order_id = $1",
        [id],
      );
      const { refunds, refundedMinor } = await totalsOf(id);
      return { state: row?.state, refunds, refundedMinor };
    },
    ({ isRefused }) => ({
      state: isRefused ? "refused" : "taken",
      refunds: 1,
      refundedMinor: isRefused ? 2_000 : 500,
    }),
  );
});
