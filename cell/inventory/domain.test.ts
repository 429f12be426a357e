import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregate, type BinBalance, binIdOf, binOf, chooseBins, freeOf, isLawful } from "./domain.ts";

const binArb = fc.record({
  aisle: fc.integer({ min: 0, max: 5 }),
  position: fc.integer({ min: 0, max: 5 }),
  level: fc.integer({ min: 0, max: 3 }),
});
const balancesArb: fc.Arbitrary<BinBalance[]> = fc
  .uniqueArray(
    fc.record({
      bin: binArb,
      allocated: fc.integer({ min: 0, max: 9 }),
      damaged: fc.integer({ min: 0, max: 3 }),
      free: fc.integer({ min: 0, max: 9 }),
    }),
    { maxLength: 8, selector: ({ bin }) => binIdOf(bin) },
  )
  .map((rows) =>
    rows.map(({ bin, allocated, damaged, free }) => {
      const onHand = allocated + damaged + free;
      return { sku: "s", binId: binIdOf(bin), bin, onHand, allocated, damaged, version: 1 };
    }),
  );

function row(aisle: number, position: number, free: number): BinBalance {
  const bin = { aisle, position, level: 0 };
  return { sku: "s", bin, binId: binIdOf(bin), onHand: free, allocated: 0, damaged: 0, version: 1 };
}

describe("choosing bins", () => {
  it.each([
    [
      "one bin that covers it, although an earlier one has some",
      [row(1, 1, 2), row(2, 1, 9)],
      5,
      ["2-1-0:5"],
    ],
    ["the first on the walk of those that cover it", [row(3, 1, 9), row(2, 1, 9)], 9, ["2-1-0:9"]],
    [
      "several on the walk when none covers it",
      [row(2, 2, 3), row(1, 9, 2), row(2, 1, 2)],
      6,
      ["1-9-0:2", "2-1-0:2", "2-2-0:2"],
    ],
  ])("takes %s", (_name, balances, quantity, expected) => {
    expect(chooseBins(balances, quantity)?.map((share) => `${share.binId}:${share.quantity}`)).toEqual(
      expected,
    );
  });

  it("takes exactly the quantity, from no bin more than it has, or nothing at all", () => {
    fc.assert(
      fc.property(balancesArb, fc.integer({ min: 1, max: 60 }), (balances, quantity) => {
        const shares = chooseBins(balances, quantity);
        const free = balances.reduce((sum, balance) => sum + freeOf(balance), 0);
        if (free < quantity) {
          expect(shares).toBeUndefined();
          return;
        }
        expect(shares?.reduce((sum, share) => sum + share.quantity, 0)).toBe(quantity);
        for (const share of shares ?? []) {
          const balance = balances.find((other) => other.binId === share.binId);
          expect(share.quantity).toBeGreaterThan(0);
          expect(balance && freeOf(balance)).toBeGreaterThanOrEqual(share.quantity);
        }
        expect(new Set(shares?.map((share) => share.binId)).size).toBe(shares?.length);
      }),
    );
  });
});

describe("small rules", () => {
  it("adds up lines of one SKU and sorts them, without losing a unit", () => {
    const lineArb = fc.record({
      sku: fc.constantFrom("a", "b", "c"),
      quantity: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(lineArb), (lines) => {
        const sums = aggregate(lines);
        expect(sums.map((line) => line.sku)).toEqual([...new Set(lines.map((line) => line.sku))].sort());
        const total = (list: { quantity: number }[]) => list.reduce((sum, line) => sum + line.quantity, 0);
        expect(total(sums)).toBe(total(lines));
      }),
    );
  });

  it("names a bin so that it can be read back", () => {
    fc.assert(
      fc.property(binArb, (bin) => {
        expect(binOf(binIdOf(bin))).toEqual(bin);
      }),
    );
  });

  it.each([
    [{ onHand: 0, allocated: 0, damaged: 0 }, true],
    [{ onHand: 5, allocated: 3, damaged: 2 }, true],
    [{ onHand: 5, allocated: 4, damaged: 2 }, false],
    [{ onHand: -1, allocated: -1, damaged: 0 }, false],
    [{ onHand: 5, allocated: 0, damaged: -1 }, false],
  ])("says of %j whether it may be: %s", (balance, lawful) => {
    expect(isLawful(balance)).toBe(lawful);
  });
});
