import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AllocationCall,
  type AllocationHistory,
  checkAllocations,
  type LedgerRow,
} from "./allocations.ts";
import { assemble, type Line } from "./history.ts";
import { checkHolds, type GrantedHold } from "./holds.ts";

const SKU = "milk";
const row = (version: number, change: Partial<LedgerRow>): LedgerRow => ({
  ...{
    sku: SKU,
    binId: "1-1-0",
    version,
    ordinal: 0,
    kind: "allocate",
    commandId: `c${version}`,
    holdId: null,
  },
  ...{ onHand: 0, allocated: 0, damaged: 0, ...change },
});
const received = row(1, { kind: "receive", onHand: 3 });
const allocate = (version: number, holdId: string, allocated = 1) => row(version, { holdId, allocated });
const call = (holdId: string, invokedAtMs: number, answeredAtMs: number, quantity = 1): AllocationCall => ({
  ...{ holdId, invokedAtMs, answeredAtMs, lines: [{ sku: SKU, quantity }] },
});
const history = (change: Partial<AllocationHistory>): AllocationHistory => ({
  ...{ ledger: [received], allocations: [], releases: new Map(), reads: [], ...change },
});
const good = history({
  ledger: [
    received,
    allocate(2, "a"),
    allocate(3, "b", 2),
    row(4, { kind: "release", commandId: "a", holdId: "a", allocated: -1 }),
  ],
  allocations: [call("a", 0, 10), call("b", 5, 15, 2), call("never-answered", 5, Number.POSITIVE_INFINITY)],
  releases: new Map([["a", { invokedAtMs: 20, answeredAtMs: 30 }]]),
  reads: [{ sku: SKU, version: 3, onHand: 3, allocated: 3, damaged: 0, invokedAtMs: 15, answeredAtMs: 16 }],
});

describe("the checker of allocations", () => {
  test("passes what is right and does not know when it saw nothing", () => {
    expect(checkAllocations(good)).toMatchObject({ valid: true, checked: 4 });
    expect(checkAllocations(history({})).valid).toBe("unknown");
  });

  test.each<[string, AllocationHistory, RegExp]>([
    [
      "a unit that is promised twice",
      {
        ...good,
        ledger: [...good.ledger.slice(0, 3), allocate(4, "c")],
        allocations: [...good.allocations, call("c", 40, 50)],
      },
      /leaves 3 on hand, 4 allocated/,
    ],
    [
      "a promise that is not in the ledger",
      { ...good, allocations: [...good.allocations, call("lost", 40, 50)] },
      /lost was promised and is not in the ledger/,
    ],
    [
      "an allocation that was carried out twice",
      { ...good, ledger: [...good.ledger, allocate(5, "a")] },
      /2 of milk in the ledger, 1 asked/,
    ],
    [
      "an allocation that nobody asked for",
      { ...good, ledger: [...good.ledger, allocate(5, "ghost")] },
      /ghost is in the ledger and nobody asked/,
    ],
    [
      "an order of the ledger against time",
      { ...good, allocations: [call("a", 16, 20), call("b", 5, 15, 2)] },
      /allocate c3 was answered before allocate c2 was asked/,
    ],
    [
      "a read of what never was",
      { ...good, reads: good.reads.map((read) => ({ ...read, allocated: 1 })) },
      /read with allocated 1 at version 3; the ledger has 3/,
    ],
    [
      "a read that is too old",
      { ...good, reads: good.reads.map((read) => ({ ...read, invokedAtMs: 31, answeredAtMs: 32 })) },
      /read at version 3 after release a \(version 4\) had been answered/,
    ],
  ])("catches %s", (_name, planted, words) => {
    const verdict = checkAllocations(planted);
    expect(verdict.valid).toBe(false);
    expect(verdict.problems.join("\n")).toMatch(words);
  });
});

describe("the checker of holds", () => {
  const hold = (
    holdId: string,
    from: number,
    endsAtMs = Number.POSITIVE_INFINITY,
    generation = "g1",
  ): GrantedHold => ({
    ...{ holdId, generation, lines: [{ sku: SKU, quantity: 1 }] },
    ...{ invokedAtMs: from, answeredAtMs: from + 5, endsAtMs },
  });
  const stock = new Map([[SKU, 2]]);
  const judge = (...holds: GrantedHold[]) => checkHolds({ holds, stock });

  test("lets a hold follow on one that ended, and another generation begin anew", () => {
    expect(judge(hold("a", 0, 20), hold("b", 1), hold("c", 18))).toMatchObject({ valid: true, checked: 3 });
    expect(judge(hold("a", 0), hold("b", 1), hold("c", 2, Number.POSITIVE_INFINITY, "g2")).valid).toBe(true);
    expect(judge().valid).toBe("unknown");
    expect(judge(hold("a", 0, 9, "sql-1")).valid).toBe("unknown");
  });

  test("catches a unit that is held twice in one generation", () => {
    const verdict = judge(hold("a", 0, 30), hold("b", 1), hold("c", 18));
    expect(verdict).toMatchObject({
      valid: false,
      problems: [expect.stringMatching(/hold c was given 1 too many/)],
    });
  });

  test("catches the last hold of any number that is one too many, whatever their order", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.nat(50), { minLength: 31, maxLength: 31 }),
        (units, starts) => {
          const holds = starts.slice(0, units + 1).map((from, index) => hold(`h${index}`, from));
          const full = checkHolds({ holds: holds.slice(0, units), stock: new Map([[SKU, units]]) });
          expect([full.valid, checkHolds({ holds, stock: new Map([[SKU, units]]) }).valid]).toEqual([
            true,
            false,
          ]);
        },
      ),
    );
  });
});

test("a call that was cut off and its repetitions are one operation", () => {
  const line = (atMs: number, what: Line["what"], value?: unknown): Line => ({
    ...{ process: `p${atMs % 2}`, atMs, what, call: "hold", key: "h", value },
  });
  const lines = [
    line(9, "answered", "late"),
    line(1, "asked", "x"),
    line(4, "asked"),
    line(6, "answered", "first"),
    line(5, "refused", "r"),
  ];
  expect(assemble(lines).get("hold h")).toEqual({
    ...{ call: "hold", key: "h", invokedAtMs: 1, answeredAtMs: 6, asked: "x" },
    answers: [
      { atMs: 6, value: "first" },
      { atMs: 9, value: "late" },
    ],
    refusals: [{ atMs: 5, value: "r" }],
  });
  expect(assemble([line(1, "asked")]).get("hold h")?.answeredAtMs).toBe(Number.POSITIVE_INFINITY);
});
