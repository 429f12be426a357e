import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allResolved,
  contentWeightGrams,
  nothingPicked,
  openUnits,
  type PickLine,
  unitsBySku,
  walkOrder,
  weightFits,
} from "./domain.ts";

const at = (aisle: number, position: number, level = 0) => ({ bin: { aisle, position, level } });
const bin = fc.record({ aisle: fc.nat(9), position: fc.nat(20), level: fc.nat(4) });
const places = fc.array(
  bin.map((one) => ({ bin: one })),
  { maxLength: 60 },
);
const spots = (lines: readonly { bin: { aisle: number; position: number; level: number } }[]) =>
  lines.map((line) => [line.bin.aisle, line.bin.position, line.bin.level].join("/"));

describe("the way through the aisles", () => {
  test("up the first aisle, down the next, from the floor up", () => {
    const given = [at(3, 2), at(1, 9), at(1, 2, 1), at(1, 2), at(3, 8), at(7, 1), at(7, 5)];
    expect(spots(walkOrder(given))).toEqual(["1/2/0", "1/2/1", "1/9/0", "3/8/0", "3/2/0", "7/1/0", "7/5/0"]);
  });

  test("visits each place once, each aisle in one go, and turns round from aisle to aisle", () => {
    fc.assert(
      fc.property(places, (given) => {
        const walked = walkOrder(given);
        expect(spots(walked).sort()).toEqual(spots(given).sort());
        const aisles = [...new Set(walked.map((line) => line.bin.aisle))];
        expect(aisles).toEqual([...aisles].sort((a, b) => a - b));
        expect(walked.map((line) => aisles.indexOf(line.bin.aisle))).toEqual(
          walked.map((line) => aisles.indexOf(line.bin.aisle)).sort((a, b) => a - b),
        );
        for (const [index, aisle] of aisles.entries()) {
          const inAisle = walked.filter((line) => line.bin.aisle === aisle);
          const positions = inAisle.map((line) => line.bin.position);
          const sign = index % 2 === 0 ? 1 : -1;
          expect(positions).toEqual([...positions].sort((a, b) => sign * (a - b)));
          for (const [step, line] of inAisle.entries()) {
            const before = inAisle[step - 1];
            if (before?.bin.position === line.bin.position)
              expect(before.bin.level).toBeLessThanOrEqual(line.bin.level);
          }
        }
      }),
    );
  });

  test("never walks an aisle twice its length more than the straight way through", () => {
    fc.assert(
      fc.property(places, (given) => {
        const walked = walkOrder(given);
        const inside = walked.reduce((sum, line, index) => {
          const before = walked[index - 1];
          const same = before?.bin.aisle === line.bin.aisle;
          return same && before ? sum + Math.abs(line.bin.position - before.bin.position) : sum;
        }, 0);
        const spans = [...new Set(given.map((line) => line.bin.aisle))].map((aisle) => {
          const positions = given.filter((line) => line.bin.aisle === aisle).map((line) => line.bin.position);
          return Math.max(...positions) - Math.min(...positions);
        });
        expect(inside).toBe(spans.reduce((sum, span) => sum + span, 0));
      }),
    );
  });

  test("does not touch what it was given, and a second walk is the first", () => {
    fc.assert(
      fc.property(places, (given) => {
        const before = spots(given);
        const walked = walkOrder(given);
        expect(spots(given)).toEqual(before);
        expect(spots(walkOrder(walked))).toEqual(spots(walked));
      }),
    );
  });
});

describe("the weight of a package", () => {
  test.each([
    [1_000, 949, false],
    [1_000, 950, true],
    [1_000, 1_000, true],
    [1_000, 2_550, true],
    [1_000, 2_551, false],
    [0, 0, true],
    [0, 1_500, true],
    [0, 1_501, false],
  ])("%i g picked, %i g on the scales: %s", (expected, measured, fits) => {
    expect(weightFits(expected, measured)).toBe(fits);
  });

  test("what was picked fits with any packaging up to the limit, and what fits is one range", () => {
    const grams = fc.nat(200_000);
    fc.assert(
      fc.property(grams, fc.nat(1_500), (expected, packaging) => {
        expect(weightFits(expected, expected + packaging)).toBe(true);
      }),
    );
    fc.assert(
      fc.property(grams, fc.tuple(grams, grams, grams), (expected, weights) => {
        const [low, middle, high] = [...weights].sort((a, b) => a - b) as [number, number, number];
        if (weightFits(expected, low) && weightFits(expected, high))
          expect(weightFits(expected, middle)).toBe(true);
      }),
    );
  });

  test("a unit that weighs more than the tolerance is missed when it is not there", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 19 }), fc.integer({ min: 1, max: 5_000 }), (units, unitGrams) => {
        expect(weightFits(units * unitGrams, (units - 1) * unitGrams)).toBe(false);
      }),
    );
  });
});

const pickLine: fc.Arbitrary<PickLine> = fc
  .record({
    sku: fc.constantFrom("a", "b", "c"),
    bin,
    weightGrams: fc.integer({ min: 1, max: 9_000 }),
    picked: fc.nat(9),
    short: fc.nat(9),
    open: fc.nat(9),
  })
  .map(({ open, ...line }) => ({
    ...line,
    id: "l",
    barcode: "b",
    quantity: line.picked + line.short + open,
  }));

describe("the sums of a list", () => {
  test("units by SKU are those of the lines, each SKU once and none with nothing", () => {
    fc.assert(
      fc.property(fc.array(pickLine, { maxLength: 12 }), (lines) => {
        const sums = unitsBySku(lines, (line) => line.picked);
        expect(new Set(sums.map(({ sku }) => sku)).size).toBe(sums.length);
        for (const sku of ["a", "b", "c"]) {
          const units = lines.filter((line) => line.sku === sku).reduce((sum, line) => sum + line.picked, 0);
          expect(sums.find((sum) => sum.sku === sku)?.quantity).toBe(units === 0 ? undefined : units);
        }
      }),
    );
  });

  test("resolved means that nothing is open; the content weighs what is in the tote", () => {
    fc.assert(
      fc.property(fc.array(pickLine, { maxLength: 12 }), (lines) => {
        const open = lines.reduce((sum, line) => sum + openUnits(line), 0);
        expect(allResolved(lines)).toBe(open === 0);
        expect(nothingPicked(lines)).toBe(contentWeightGrams(lines) === 0);
      }),
    );
    const line: PickLine = {
      id: "l",
      sku: "a",
      barcode: "b",
      weightGrams: 250,
      quantity: 4,
      ...at(1, 1),
      picked: 3,
      short: 1,
    };
    expect(contentWeightGrams([line, { ...line, weightGrams: 100, picked: 1 }])).toBe(850);
  });
});
