import fc from "fast-check";
import { expect, test } from "vitest";
import {
  allResolved,
  contentWeightGrams,
  nextPickListState,
  nothingPicked,
  openUnits,
  type PickLine,
  type PickListState,
  resolveLines,
  weightFits,
} from "./domain.ts";

const UNIT_GRAMS = 10_000;
/** Runs that end in a state at least; each is the end of 30 or more out of 1,000. */
const OFTEN = 5;

/** One scan of a device: noted, told to inventory, counted; other devices and the end of the order come in between. */
interface Scan {
  readonly lineId: string;
  readonly kind: "pick" | "short";
  isCounted: boolean;
}

/** A pick list as its devices see it, over the rules of the domain, and beside it a plain count of where each unit is. */
class Floor {
  state: PickListState = "open";
  lines: PickLine[];
  readonly shelf: Map<string, number>;
  readonly tote = new Map<string, number>();
  private readonly open: Scan[] = [];

  constructor(quantities: readonly number[]) {
    const bin = { aisle: 1, position: 1, level: 0 };
    this.lines = quantities.map((quantity, index) => ({
      ...{ id: `l${index}`, sku: `s${index}`, barcode: "b", weightGrams: UNIT_GRAMS, bin },
      ...{ quantity, picked: 0, short: 0 },
    }));
    this.shelf = new Map(this.lines.map(({ id, quantity }) => [id, quantity]));
  }

  move(event: Parameters<typeof nextPickListState>[1]): boolean {
    const to = nextPickListState(this.state, event);
    if (to === undefined) return false;
    this.state = to;
    return true;
  }

  /** A unit is noted when one is left that no other scan has its hands on. */
  note(lot: number, kind: Scan["kind"]): void {
    const line = this.lines[lot % this.lines.length];
    if (!line || this.state !== "picking") return;
    const underWay = this.open.filter(({ lineId }) => lineId === line.id).length;
    if (openUnits(line) - underWay < 1) return;
    this.open.push({ lineId: line.id, kind, isCounted: false });
  }

  /** Inventory has the unit moved, and the line counts it; what was noted is counted also when the order is being cancelled. */
  count(lot: number): void {
    const [scan] = this.open.splice(lot % Math.max(1, this.open.length), 1);
    if (!scan) return;
    this.shelf.set(scan.lineId, (this.shelf.get(scan.lineId) ?? 0) - 1);
    if (scan.kind === "pick") this.tote.set(scan.lineId, (this.tote.get(scan.lineId) ?? 0) + 1);
    this.lines = resolveLines(this.lines, { lineId: scan.lineId, kind: scan.kind, quantity: 1 });
    if (this.state === "picking" && allResolved(this.lines))
      this.move(nothingPicked(this.lines) ? "exhaust" : "resolve");
  }

  pack(lot: number): void {
    if (!allResolved(this.lines)) return;
    // After a mismatch the picker looks again, and packs from there.
    if (this.state !== "picked" && this.state !== "picking") {
      expect(this.move("pack") || this.move("mismatch")).toBe(false);
      return;
    }
    const measured = [...this.tote.values()].reduce((sum, units) => sum + units, 0) * UNIT_GRAMS;
    // One time in three the scales see a unit less.
    const isWrong = lot % 3 === 0;
    const fits = weightFits(contentWeightGrams(this.lines), isWrong ? measured - UNIT_GRAMS : measured);
    expect(fits).toBe(!isWrong);
    if (fits) this.move("pack");
    else this.move("mismatch");
  }

  /** Only when nothing is under way any more is it known what is in the tote. */
  putBack(): void {
    if (this.open.length > 0 || !this.move("putback")) return;
    for (const { id, picked } of this.lines) {
      expect(picked).toBe(this.tote.get(id) ?? 0);
      this.shelf.set(id, (this.shelf.get(id) ?? 0) + picked);
      this.tote.delete(id);
    }
  }
}

test("however devices, scales and a cancellation fall in with each other, every unit is where the list says", () => {
  const ends = new Map<string, number>();
  const lotsArb = fc.array(fc.tuple(fc.nat(99), fc.nat(99)), { maxLength: 80, size: "max" });
  const quantities = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(quantities, lotsArb, (counts, lots) => {
      const floor = new Floor(counts);
      let cancels = 0;
      const actions = [
        (lot: number) => void (lot % 4 !== 0 || floor.move("start")),
        (lot: number) => floor.note(lot, lot % 5 === 0 ? "short" : "pick"),
        (lot: number) => floor.note(lot, "pick"),
        (lot: number) => floor.count(lot),
        (lot: number) => floor.count(lot),
        (lot: number) => floor.pack(lot),
        () => floor.putBack(),
        (lot: number) => void (lot % 11 !== 0 || (floor.move("cancel") && cancels++)),
      ];
      for (const [which, lot] of lots) {
        actions[which % actions.length]?.(lot);
        for (const line of floor.lines) {
          expect(openUnits(line)).toBeGreaterThanOrEqual(0);
          const out = line.quantity - (floor.shelf.get(line.id) ?? 0);
          const isBack = floor.state === "cancelled" && cancels > 0;
          expect(out).toBe(isBack ? line.short : line.picked + line.short);
          expect(floor.tote.get(line.id) ?? 0).toBe(isBack ? 0 : line.picked);
        }
        if (floor.state === "packed") expect(allResolved(floor.lines)).toBe(true);
      }
      expect(cancels).toBeLessThanOrEqual(1);
      ends.set(floor.state, (ends.get(floor.state) ?? 0) + 1);
    }),
    { numRuns: 1_000 },
  );
  for (const state of ["packed", "picked", "picking", "cancelling", "cancelled"])
    expect([state, (ends.get(state) ?? 0) >= OFTEN]).toEqual([state, true]);
});
