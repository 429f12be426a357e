import { describe, expect, test } from "vitest";
import type { LedgerRow } from "./allocations.ts";
import { type Books, checkLedger } from "./ledger.ts";
import { checkMoney, type PaidOrder, type ProcessorEntry } from "./money.ts";
import { checkOrders, type LogRow, type OrderBooks } from "./orders.ts";
import type { Verdict } from "./verdict.ts";

const caught = (verdict: Verdict, words: RegExp) => {
  expect(verdict.valid).toBe(false);
  expect(verdict.problems.join("\n")).toMatch(words);
};

describe("the checker of the ledger", () => {
  const move = (kind: string, onHand: number, allocated: number): LedgerRow => ({
    ...{ sku: "milk", binId: "1-1-0", version: 1, ordinal: 0, kind, commandId: "c", holdId: null },
    ...{ onHand, allocated, damaged: 0 },
  });
  const good: Books = {
    ledger: [move("receive", 10, 0), move("allocate", 0, 4), move("pick", -3, -3)],
    balances: [{ sku: "milk", binId: "1-1-0", onHand: 7, allocated: 1, damaged: 0 }],
    open: [{ sku: "milk", binId: "1-1-0", open: 1 }],
    mirror: [{ sku: "milk", reserved: 0, available: 6 }],
    received: new Map([["milk", 10]]),
    delivered: new Map([["milk", 3]]),
    returned: new Map(),
  };

  test("passes what adds up and does not know an empty ledger", () => {
    expect(checkLedger(good)).toMatchObject({ valid: true, checked: 3 });
    const nothing = { ledger: [], balances: [], open: [], mirror: [], returned: new Map() };
    expect(checkLedger({ ...nothing, received: new Map(), delivered: new Map() }).valid).toBe("unknown");
  });

  test.each<[string, Partial<Books>, RegExp]>([
    [
      "a balance that was written back",
      { balances: [{ ...good.balances[0]!, onHand: 8 }] },
      /onHand is 8, the ledger says 7/,
    ],
    [
      "a balance without a ledger",
      { balances: [...good.balances, { ...good.balances[0]!, sku: "rice" }] },
      /rice.*the ledger says 0/,
    ],
    ["an allocation that nobody has open", { open: [] }, /1 are allocated, open allocations have 0/],
    [
      "a receipt that was counted twice",
      { received: new Map([["milk", 5]]) },
      /5 were received, the ledger has 10/,
    ],
    [
      "goods that left without an order",
      { delivered: new Map([["milk", 2]]) },
      /10 came, 2 went, 0 came back, 0 were written down, 7 are on hand/,
    ],
    [
      "a return that was put back twice",
      {
        ledger: [...good.ledger, move("return-sellable", 1, 0), move("return-sellable", 1, 0)],
        returned: new Map([["milk", 1]]),
      },
      /1 were brought back, the ledger has 2/,
    ],
    [
      "a hold store that stays behind",
      { mirror: [{ sku: "milk", reserved: 2, available: 4 }] },
      /2 held and 4 to sell, the ledger 6/,
    ],
  ])("catches %s", (_name, change, words) => caught(checkLedger({ ...good, ...change }), words));
});

describe("the checker of money", () => {
  const orders: PaidOrder[] = [
    { id: "o1", state: "delivered", dueMinor: 900, givenBackMinor: 0 },
    { id: "o2", state: "cancelled", dueMinor: 500, givenBackMinor: 0 },
    { id: "o3", state: "payment_failed", dueMinor: 500, givenBackMinor: 0 },
    { id: "o4", state: "delivered", dueMinor: 900, givenBackMinor: 300 },
  ];
  const entry = (
    reference: string,
    kind: ProcessorEntry["kind"],
    status: string,
    amountMinor = 900,
  ): ProcessorEntry => ({
    ...{ reference, kind, status, amountMinor },
  });
  const good = [
    entry("o1", "authorization", "approved", 1_000),
    entry("o1", "capture", "done"),
    entry("o2", "authorization", "voided"),
    entry("o2", "void", "done"),
    entry("o3", "authorization", "declined"),
    entry("o4", "authorization", "approved", 1_000),
    entry("o4", "capture", "done"),
    entry("o4", "refund", "done", 300),
  ];

  test("passes what is right and does not know without orders", () => {
    expect(checkMoney(orders, good)).toMatchObject({ valid: true, checked: 4 });
    expect(checkMoney([], []).valid).toBe("unknown");
  });

  test.each<[string, ProcessorEntry[], RegExp]>([
    ["a second capture", [...good, entry("o1", "capture", "done")], /o1.*2 captures where 1 belongs/],
    [
      "a capture that is missing",
      good.filter(({ kind, reference }) => kind !== "capture" || reference !== "o1"),
      /o1.*0 captures where 1 belongs/,
    ],
    [
      "a capture for a cancelled order",
      [...good, entry("o2", "capture", "done", 500)],
      /o2.*1 captures where 0 belongs/,
    ],
    [
      "a capture of too much",
      good.map((one) => (one.kind === "capture" ? { ...one, amountMinor: 1_000 } : one)),
      /1000 were captured, 900 are due/,
    ],
    [
      "more given back than taken",
      [...good, entry("o1", "refund", "done", 901)],
      /901 were given back of 900 captured/,
    ],
    ["a second refund", [...good, entry("o4", "refund", "done", 300)], /o4.*600 were given back, 300 are/],
    [
      "a refund that was written down only",
      good.filter(({ kind }) => kind !== "refund"),
      /o4.*0 were given back, 300 are written down/,
    ],
    [
      "money that stays reserved",
      good.map((one) => (one.status === "voided" ? { ...one, status: "approved" } : one)),
      /o2.*still open/,
    ],
    ["a second authorization", [...good, entry("o1", "authorization", "voided")], /o1.*2 authorizations/],
    ["money without an order", [...good, entry("nobody", "capture", "done")], /nobody, which is no order/],
  ])("catches %s", (_name, entries, words) => caught(checkMoney(orders, entries), words));
});

describe("the checker of orders", () => {
  const log = (orderId: string, ...states: string[]): LogRow[] =>
    states.slice(1).map((to, index) => ({ orderId, version: index + 2, from: states[index] ?? "", to }));
  const good: OrderBooks = {
    placed: [
      { sub: "u1", key: "k", answer: { status: 201, orderId: "o1" } },
      { sub: "u2", key: "k", answer: { status: 402 } },
      { sub: "u3", key: "k" },
      { sub: "u4", key: "k", answer: { status: 409 } },
    ],
    orders: [
      { id: "o1", sub: "u1", key: "k", state: "delivered" },
      { id: "o2", sub: "u2", key: "k", state: "payment_failed" },
      { id: "o3", sub: "u3", key: "k", state: "cancelled" },
    ],
    log: [
      ...log("o1", "created", "confirmed", "delivered"),
      ...log("o2", "created", "payment_failed"),
      ...log("o3", "created", "cancelled"),
    ],
    final: new Set(["delivered", "cancelled", "payment_failed", "rejected"]),
    refused: new Set(["payment_failed", "rejected"]),
  };
  const instead = (id: string, change: object) =>
    good.orders.map((order) => (order.id === id ? { ...order, ...change } : order));

  test("passes what is right and does not know without requests", () => {
    expect(checkOrders(good)).toMatchObject({ valid: true, checked: 4 });
    expect(checkOrders({ ...good, placed: [], orders: [], log: [] }).valid).toBe("unknown");
  });

  test.each<[string, Partial<OrderBooks>, RegExp]>([
    ["a promised order that is gone", { orders: good.orders.slice(1) }, /o1 was promised to u1 and is lost/],
    ["an order that is stuck", { orders: instead("o1", { state: "picking" }) }, /o1 is left in picking/],
    [
      "two orders for one key",
      { orders: [...good.orders, { ...good.orders[2]!, id: "o9" }] },
      /u3 has 2 orders/,
    ],
    ["another order than was promised", { orders: instead("o1", { id: "o8" }) }, /promised o1 and has o8/],
    [
      "a promise that was taken back",
      { orders: instead("o1", { state: "rejected" }) },
      /o1 was promised and ended rejected/,
    ],
    [
      "a refused customer who gets a parcel",
      { orders: instead("o2", { state: "delivered" }) },
      /u2 was refused \(402\) and order o2 is delivered/,
    ],
    [
      "a key that was given away with a living order",
      { orders: [...good.orders, { id: "o9", sub: "u1", key: "k", state: "delivered", isReleased: true }] },
      /o9 gave its key away and is delivered/,
    ],
    ["an order that nobody placed", { placed: good.placed.slice(1) }, /nobody placed: u1 k/],
    [
      "an order that ends twice",
      { log: [...good.log, { orderId: "o1", version: 4, from: "delivered", to: "cancelled" }] },
      /o1 ended 2 times/,
    ],
    [
      "a log with a gap",
      { log: good.log.map((row) => (row.to === "delivered" ? { ...row, version: 5 } : row)) },
      /o1: confirmed to delivered at 5 follows/,
    ],
    [
      "an order that goes back",
      {
        log: [
          ...good.log.slice(0, 1),
          { orderId: "o1", version: 3, from: "created", to: "delivered" },
          ...good.log.slice(2),
        ],
      },
      /created to delivered at 3 follows confirmed/,
    ],
  ])("catches %s", (_name, change, words) => caught(checkOrders({ ...good, ...change }), words));
});
