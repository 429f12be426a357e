import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  amountDue,
  decide,
  decideReturn,
  EVENTS,
  effectsOf,
  isWaiting,
  type OrderEvent,
  type OrderState,
  PAYMENT_STATUSES,
  PUBLIC_STATUSES,
  publicStatus,
  RETURN_EVENTS,
  RETURN_STATES,
  type ReturnEvent,
  type ReturnState,
  STATES,
  TERMINAL,
  TRANSITIONS,
  unitsOf,
  without,
  worthOf,
} from "./domain.ts";

/** The machine as the domain rules tell it, written a second time by hand: state, event, next state. */
const ALLOWED: readonly (readonly [OrderState, OrderEvent, OrderState])[] = [
  ["created", "reserve.ok", "reserved"],
  ["created", "reserve.short", "rejected"],
  ["created", "abandon", "rejected"],
  ["created", "cancel", "cancelled"],
  ["reserved", "confirm", "confirmed"],
  ["reserved", "auth.failed", "payment_failed"],
  ["reserved", "allocate.short", "rejected"],
  ["reserved", "abandon", "rejected"],
  ["reserved", "cancel", "cancelled"],
  ["reserved", "review.ask", "review"],
  ["review", "review.pass", "confirmed"],
  ["review", "review.refuse", "cancelled"],
  ["review", "lines.cancel", "review"],
  ["review", "delivery.change", "review"],
  ["review", "cancel", "cancelled"],
  ["confirmed", "pick.start", "picking"],
  ["confirmed", "lines.cancel", "confirmed"],
  ["confirmed", "delivery.change", "confirmed"],
  ["confirmed", "cancel", "cancelled"],
  ["picking", "short.ask", "substitution_pending"],
  ["picking", "lines.resolved", "picked"],
  ["picking", "all.short", "cancelled"],
  ["picking", "lines.cancel", "picking"],
  ["picking", "cancel", "cancelling"],
  ["substitution_pending", "substitution.resolved", "picking"],
  ["substitution_pending", "lines.cancel", "substitution_pending"],
  ["substitution_pending", "cancel", "cancelling"],
  ["picked", "pack.ok", "packed"],
  ["picked", "pack.mismatch", "picking"],
  ["picked", "cancel", "cancelling"],
  ["packed", "offer.accepted", "courier_assigned"],
  ["packed", "cancel", "cancelling"],
  ["courier_assigned", "handover", "out_for_delivery"],
  ["courier_assigned", "courier.lost", "packed"],
  ["courier_assigned", "cancel", "cancelling"],
  ["out_for_delivery", "arrive", "arrived"],
  ["out_for_delivery", "proof", "delivered"],
  ["out_for_delivery", "parcel.lost", "lost"],
  ["arrived", "proof", "delivered"],
  ["arrived", "no.customer", "returning"],
  ["arrived", "parcel.lost", "lost"],
  ["returning", "center.scan", "returned_to_center"],
  ["returning", "parcel.lost", "lost"],
  ["cancelling", "putback.done", "cancelled"],
];

const stateOf = fc.constantFrom(...STATES);
const eventOf = fc.constantFrom(...EVENTS);

describe("the machine", () => {
  test.each(ALLOWED)("%s --%s--> %s", (from, event, to) => {
    expect(decide(from, event)).toEqual({ outcome: "applied", to });
  });

  test("every other pair changes nothing", () => {
    const listed = new Set(ALLOWED.map(([from, event]) => `${from} ${event}`));
    const others = STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const)).filter(
      ([state, event]) => !listed.has(`${state} ${event}`),
    );
    expect(others).toHaveLength(STATES.length * EVENTS.length - ALLOWED.length);
    for (const [state, event] of others)
      expect([state, event, decide(state, event).outcome]).not.toContain("applied");
  });

  test("every event has a way in, every state but the first can be reached", () => {
    expect(new Set(ALLOWED.map(([, event]) => event))).toEqual(new Set(EVENTS));
    const reached = new Set<OrderState>(["created"]);
    for (let before = -1; before !== reached.size; ) {
      before = reached.size;
      for (const [from, , to] of ALLOWED) if (reached.has(from)) reached.add(to);
    }
    expect(reached).toEqual(new Set(STATES));
  });

  test("what is over stays over", () => {
    expect([...TERMINAL].sort()).toEqual(
      ["cancelled", "delivered", "lost", "payment_failed", "rejected", "returned_to_center"].sort(),
    );
    for (const state of TERMINAL)
      for (const event of EVENTS) expect(decide(state, event)).toEqual({ outcome: "stale" });
  });

  test.each<[OrderState, OrderEvent, "stale" | "too-early"]>([
    ["reserved", "review.pass", "too-early"],
    ["reserved", "lines.cancel", "too-early"],
    ["created", "delivery.change", "too-early"],
    ["confirmed", "review.pass", "stale"],
    ["cancelled", "review.refuse", "stale"],
    ["picking", "delivery.change", "stale"],
    ["picked", "lines.cancel", "stale"],
    ["confirmed", "pack.ok", "too-early"],
    ["confirmed", "offer.accepted", "too-early"],
    ["confirmed", "proof", "too-early"],
    ["packed", "courier.lost", "too-early"],
    ["packed", "pick.start", "stale"],
    ["picked", "lines.resolved", "stale"],
    ["out_for_delivery", "cancel", "stale"],
    ["courier_assigned", "offer.accepted", "stale"],
    ["arrived", "handover", "stale"],
    ["cancelling", "pack.ok", "stale"],
  ])("%s, %s: %s", (state, event, outcome) => {
    expect(decide(state, event)).toEqual({ outcome });
  });

  test("too early is only said when the event can still come to fit", () => {
    fc.assert(
      fc.property(stateOf, eventOf, (state, event) => {
        if (decide(state, event).outcome !== "too-early") return;
        const ahead = new Set<OrderState>([state]);
        for (const seen of ahead)
          for (const next of Object.values(TRANSITIONS[seen])) if (next) ahead.add(next);
        expect([...ahead].some((later) => TRANSITIONS[later][event] !== undefined)).toBe(true);
      }),
    );
  });
});

/** Lets a bag of events fall on an order in any order; what is too early waits and is tried again after each move. */
function settle(events: readonly OrderEvent[]): { state: OrderState; moves: OrderState[] } {
  let state: OrderState = "confirmed";
  const moves: OrderState[] = [];
  let waiting: OrderEvent[] = [];
  for (const event of events) {
    waiting.push(event);
    for (let index = 0; index < waiting.length; ) {
      const decision = decide(state, waiting[index] ?? "cancel");
      if (decision.outcome === "too-early") {
        index++;
        continue;
      }
      waiting = waiting.filter((_, at) => at !== index);
      if (decision.outcome !== "applied") continue;
      state = decision.to;
      moves.push(state);
      index = 0;
    }
  }
  return { state, moves };
}

describe("events that come in any order", () => {
  const way = [
    "pick.start",
    "lines.resolved",
    "pack.ok",
    "offer.accepted",
    "handover",
    "arrive",
    "proof",
  ] as const;

  test("the whole way, shuffled, always ends delivered", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...way], { minLength: way.length }), (shuffled) => {
        expect(settle(shuffled).state).toBe("delivered");
      }),
      { numRuns: 500 },
    );
  });

  test("whatever comes, the path is one of the table, and money moves at most once", () => {
    fc.assert(
      fc.property(fc.array(eventOf, { maxLength: 40 }), (events) => {
        const { moves } = settle(events);
        let from: OrderState = "confirmed";
        let moneyMoves = 0;
        for (const to of moves) {
          expect(ALLOWED.some(([a, , b]) => a === from && b === to)).toBe(true);
          moneyMoves += effectsOf(from, to).filter((effect) => effect !== "release").length;
          from = to;
        }
        expect(moneyMoves).toBe(TERMINAL.has(from) ? 1 : 0);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a return", () => {
  const WAY: readonly (readonly [ReturnState, ReturnEvent, ReturnState])[] = [
    ["requested", "receive", "received"],
    ["requested", "expire", "expired"],
    ["received", "inspect", "inspected"],
    ["received", "reject", "rejected"],
    ["inspected", "close", "closed"],
    ["inspected", "hold", "held"],
  ];

  test("moves on by these and nothing else; what may still come is too early", () => {
    const rank = { requested: 0, received: 1, inspected: 2, closed: 3, rejected: 3, expired: 3, held: 3 };
    for (const state of RETURN_STATES)
      for (const event of RETURN_EVENTS) {
        const way = WAY.find(([from, what]) => from === state && what === event);
        const comes = WAY.some(
          ([from, what]) => what === event && rank[from] > rank[state] && rank[state] < 3,
        );
        expect([state, event, decideReturn(state, event)]).toEqual([
          state,
          event,
          way ? { outcome: "applied", to: way[2] } : { outcome: comes ? "too-early" : "stale" },
        ]);
      }
  });
});

describe("effects", () => {
  test.each<[OrderState, OrderState, readonly string[]]>([
    ["arrived", "delivered", ["capture"]],
    ["out_for_delivery", "delivered", ["capture"]],
    ["confirmed", "cancelled", ["release", "void"]],
    ["review", "cancelled", ["release", "void"]],
    ["review", "confirmed", []],
    ["cancelling", "cancelled", ["void"]],
    ["picking", "cancelled", ["void"]],
    ["returning", "returned_to_center", ["void"]],
    ["arrived", "lost", ["void"]],
    ["reserved", "payment_failed", []],
    ["picking", "picked", []],
  ])("%s to %s: %j", (from, to, effects) => {
    expect(effectsOf(from, to)).toEqual(effects);
  });
});

describe("what the customer sees", () => {
  test("is one of the twelve words for every state, payment and flag, and each word occurs", () => {
    const seen = new Set<string>();
    for (const state of STATES)
      for (const payment of PAYMENT_STATUSES)
        for (const short of [false, true]) seen.add(publicStatus(state, payment, short));
    expect([...seen].sort()).toEqual([...PUBLIC_STATUSES].sort());
  });

  test.each<[OrderState, (typeof PAYMENT_STATUSES)[number], boolean, string]>([
    ["confirmed", "authorised", false, "reserved"],
    ["picked", "authorised", true, "picking"],
    ["arrived", "authorised", false, "out_for_delivery"],
    ["delivered", "captured", false, "delivered"],
    ["delivered", "captured", true, "partially_fulfilled"],
    ["delivered", "refunded", true, "refunded"],
    ["cancelled", "voided", false, "cancelled"],
    ["cancelling", "authorised", false, "cancelled"],
    ["rejected", "none", false, "rejected"],
  ])("%s, %s, short %s: %s", (state, payment, short, word) => {
    expect(publicStatus(state, payment, short)).toBe(word);
  });
});

describe("the queue of the floor", () => {
  test("has what is not picked yet", () => {
    expect(STATES.filter(isWaiting)).toEqual([
      "created",
      "reserved",
      "review",
      "confirmed",
      "picking",
      "substitution_pending",
    ]);
  });
});

describe("the amount due", () => {
  const price = (amountMinor: number) => ({ amountMinor, currency: "KRW" });

  test("is the total when nothing is short, and zero when everything is", () => {
    const lineOf = fc.record({
      quantity: fc.integer({ min: 1, max: 999 }),
      minor: fc.integer({ min: 0, max: 10_000_000 }),
    });
    fc.assert(
      fc.property(fc.array(lineOf, { minLength: 1, maxLength: 100 }), (raw) => {
        const lines = raw.map(({ quantity, minor }, index) => ({
          sku: `s${index}`,
          quantity,
          price: price(minor),
        }));
        const total = lines.reduce((sum, line) => sum + line.quantity * line.price.amountMinor, 0);
        expect(amountDue(lines, [])).toBe(total);
        expect(amountDue(lines, lines)).toBe(0);
      }),
    );
  });

  test("is the same whether units were cancelled or are short, and both count", () => {
    const lines = [
      { sku: "a", quantity: 5, price: price(100) },
      { sku: "b", quantity: 1, price: price(7) },
    ];
    expect(amountDue(lines, [{ sku: "a", quantity: 2 }], [{ sku: "a", quantity: 1 }])).toBe(207);
    expect(amountDue(lines, [], [{ sku: "a", quantity: 3 }])).toBe(207);
    expect(worthOf(lines, [{ sku: "a", quantity: 2 }])).toBe(200);
    expect(worthOf(lines, [{ sku: "a", quantity: 50 }])).toBe(500);
  });

  test("what is left and what is taken make the whole", () => {
    const lineOf = fc.record({
      sku: fc.constantFrom("a", "b", "c"),
      quantity: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(lineOf, { maxLength: 8 }), fc.array(lineOf, { maxLength: 8 }), (lines, taken) => {
        const [all, less, left] = [unitsOf(lines), unitsOf(taken), unitsOf(without(lines, taken))];
        for (const sku of ["a", "b", "c"]) {
          const want = Math.max(0, (all.get(sku) ?? 0) - (less.get(sku) ?? 0));
          expect(left.get(sku) ?? 0).toBe(want);
        }
      }),
    );
  });

  test("never goes below zero, and two lines of one SKU share its shortage", () => {
    const lines = [
      { sku: "a", quantity: 2, price: price(100) },
      { sku: "a", quantity: 3, price: price(100) },
      { sku: "b", quantity: 1, price: price(7) },
    ];
    expect(amountDue(lines, [{ sku: "a", quantity: 4 }])).toBe(107);
    expect(amountDue(lines, [{ sku: "a", quantity: 50 }])).toBe(7);
    expect(amountDue(lines, [{ sku: "unknown", quantity: 1 }])).toBe(507);
  });
});
