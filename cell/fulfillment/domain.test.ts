import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allResolved,
  contentWeightGrams,
  nextPickListState,
  nothingPicked,
  openUnits,
  PICK_LIST_EVENTS,
  PICK_LIST_STATES,
  type PickLine,
  type PickListEvent,
  type PickListState,
  resolveLines,
  unitsBySku,
  walkOrder,
  weightFits,
} from "./domain.ts";

/** The machine, written a second time by hand: state, event, next state. */
const ALLOWED: readonly (readonly [PickListState, PickListEvent, PickListState])[] = [
  ["open", "start", "picking"],
  ["open", "cancel", "cancelled"],
  ["picking", "resolve", "picked"],
  ["picking", "exhaust", "cancelled"],
  ["picking", "pack", "packed"],
  ["picking", "cancel", "cancelling"],
  ["picked", "pack", "packed"],
  ["picked", "mismatch", "picking"],
  ["picked", "cancel", "cancelling"],
  ["packed", "cancel", "cancelling"],
  ["cancelling", "putback", "cancelled"],
];

describe("the machine of a pick list", () => {
  test.each(PICK_LIST_STATES.flatMap((state) => PICK_LIST_EVENTS.map((event) => [state, event] as const)))(
    "%s, %s",
    (state, event) => {
      const wanted = ALLOWED.find(([from, by]) => from === state && by === event)?.[2];
      expect(nextPickListState(state, event)).toBe(wanted);
    },
  );

  test("whatever happens, a cancelled order's units are put back before the list ends", () => {
    const run = fc.array(fc.constantFrom(...PICK_LIST_EVENTS), { maxLength: 30 });
    fc.assert(
      fc.property(run, (events) => {
        let state: PickListState = "open";
        let holdsUnits = false;
        for (const event of events) {
          const next: PickListState | undefined = nextPickListState(state, event);
          if (next === undefined) continue;
          if (next === "picking") holdsUnits = true;
          if (event === "putback" || event === "exhaust") holdsUnits = false;
          state = next;
          if (state === "cancelled") expect(holdsUnits).toBe(false);
        }
      }),
    );
  });
});

const binOf = fc.record({
  aisle: fc.integer({ min: 0, max: 5 }),
  position: fc.integer({ min: 0, max: 20 }),
  level: fc.integer({ min: 0, max: 3 }),
});
const lineOf = fc.record({
  id: fc.uuid(),
  sku: fc.constantFrom("a", "b", "c"),
  barcode: fc.constant("x"),
  weightGrams: fc.integer({ min: 1, max: 5_000 }),
  bin: binOf,
  quantity: fc.integer({ min: 1, max: 9 }),
  picked: fc.constant(0),
  short: fc.constant(0),
});
const linesOf = fc.uniqueArray(lineOf, { minLength: 1, maxLength: 12, selector: ({ id }) => id });

describe("the walk", () => {
  test("goes up one aisle and down the next that has something to pick", () => {
    const at = (aisle: number, position: number, level = 0) => ({ bin: { aisle, position, level } });
    const walked = walkOrder([at(7, 1), at(2, 9), at(7, 5), at(2, 3, 1), at(2, 3), at(9, 4)]);
    expect(walked.map(({ bin }) => [bin.aisle, bin.position, bin.level])).toEqual([
      [2, 3, 0],
      [2, 3, 1],
      [2, 9, 0],
      [7, 5, 0],
      [7, 1, 0],
      [9, 4, 0],
    ]);
  });

  test("keeps every line, enters each aisle once and turns round in none", () => {
    fc.assert(
      fc.property(linesOf, (lines) => {
        const walked = walkOrder(lines);
        expect([...walked].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
          [...lines].sort((a, b) => (a.id < b.id ? -1 : 1)),
        );
        const aisles = walked.map(({ bin }) => bin.aisle);
        const entered = aisles.filter((aisle, index) => aisle !== aisles[index - 1]);
        expect(new Set(entered).size).toBe(entered.length);
        for (const [index, aisle] of entered.entries()) {
          const spots = walked.filter(({ bin }) => bin.aisle === aisle).map(({ bin }) => bin.position);
          const sorted = [...spots].sort((a, b) => (index % 2 === 0 ? a - b : b - a));
          expect(spots).toEqual(sorted);
        }
      }),
    );
  });

  test("does not depend on the order in which lines were written", () => {
    fc.assert(
      fc.property(linesOf, (lines) => {
        const places = (walked: PickLine[]) => walked.map(({ bin }) => bin);
        expect(places(walkOrder([...lines].reverse()))).toEqual(places(walkOrder(lines)));
      }),
    );
  });
});

describe("lines", () => {
  test("lose no unit: open, picked and short add up to what was ordered, and a recount moves picked to short", () => {
    const scans = fc.array(
      fc.record({
        index: fc.nat(11),
        kind: fc.constantFrom("pick" as const, "short" as const, "recount" as const),
        quantity: fc.integer({ min: 1, max: 9 }),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(linesOf, scans, (start, all) => {
        let lines: PickLine[] = start;
        for (const { index, kind, quantity } of all) {
          const line = lines[index % lines.length];
          if (!line) continue;
          const left = kind === "recount" ? line.picked : openUnits(line);
          if (quantity > left) continue;
          const before = { picked: line.picked, short: line.short };
          lines = resolveLines(lines, { lineId: line.id, kind, quantity });
          const after = lines.find(({ id }) => id === line.id);
          const delta = [(after?.picked ?? 0) - before.picked, (after?.short ?? 0) - before.short];
          const wanted = { pick: [quantity, 0], short: [0, quantity], recount: [-quantity, quantity] };
          expect(delta).toEqual(wanted[kind]);
        }
        for (const line of lines) {
          expect(openUnits(line) + line.picked + line.short).toBe(line.quantity);
          expect(Math.min(openUnits(line), line.picked, line.short)).toBeGreaterThanOrEqual(0);
        }
        const sum = (count: (line: PickLine) => number) => lines.reduce((all, line) => all + count(line), 0);
        expect(allResolved(lines)).toBe(sum(openUnits) === 0);
        expect(nothingPicked(lines)).toBe(sum(({ picked }) => picked) === 0);
        const grouped = unitsBySku(lines, ({ picked }) => picked);
        expect(grouped.reduce((all, { quantity }) => all + quantity, 0)).toBe(sum(({ picked }) => picked));
        expect(grouped.every(({ quantity }) => quantity > 0)).toBe(true);
        expect(contentWeightGrams(lines)).toBe(sum(({ picked, weightGrams }) => picked * weightGrams));
      }),
    );
  });
});

describe("the weight of a package", () => {
  test.each([
    [1_000, 1_000, true],
    [1_000, 950, true],
    [1_000, 949, false],
    [1_000, 2_550, true],
    [1_000, 2_551, false],
    [0, 0, true],
  ])("%i g of goods, %i g on the scale: %s", (expected, measured, fits) => {
    expect(weightFits(expected, measured)).toBe(fits);
  });
});
