import fc from "fast-check";
import type { Effects } from "../batch.ts";
import type { Allocation, Command, LedgerView, SqlHold } from "../commands.ts";
import { type BinBalance, binOf } from "../domain.ts";

/** Tables in memory, written by relative changes just as the database is: what the batches leave behind. */
export class Tables {
  readonly balances = new Map<
    string,
    { onHand: number; allocated: number; damaged: number; version: number }
  >();
  readonly movements: Effects["movements"][number][] = [];
  readonly allocations = new Map<string, Allocation>();
  readonly holds = new Map<string, SqlHold>();
  readonly answers = new Map<string, { bodyHash: string; answer: unknown }>();

  view(): LedgerView {
    const balances = new Map<string, BinBalance[]>();
    for (const [key, row] of this.balances) {
      const [sku = "", binId = ""] = key.split(" ");
      balances.set(sku, [...(balances.get(sku) ?? []), { sku, binId, bin: binOf(binId), ...row }]);
    }
    const skus = new Map(SKUS.map((sku) => [sku, { barcode: `b-${sku}`, weightGrams: 1 }]));
    const { allocations, answers } = this;
    return {
      nowMs: 0,
      skus,
      balances,
      allocations: new Map(allocations),
      holds: new Map(this.holds),
      held: sumHolds(this.holds.values()),
      counts: this.counts(),
      answers: new Map(answers),
    };
  }

  /** Everything that ever moved, which is more than a count asks for. */
  private counts(): LedgerView["counts"] {
    const counts = new Map<
      string,
      { onHand: number; movements: { version: number; onHandDelta: number }[] }
    >();
    for (const { sku, binId, version, onHandDelta } of this.movements) {
      const key = `${sku} ${binId}`;
      const found = counts.get(key) ?? { onHand: this.balances.get(key)?.onHand ?? 0, movements: [] };
      if (onHandDelta !== 0) found.movements.push({ version, onHandDelta });
      counts.set(key, found);
    }
    return counts;
  }

  write(effects: Effects): void {
    for (const delta of effects.balances) {
      const key = `${delta.sku} ${delta.binId}`;
      const row = this.balances.get(key) ?? { onHand: 0, allocated: 0, damaged: 0, version: 0 };
      this.balances.set(key, {
        onHand: row.onHand + delta.onHand,
        allocated: row.allocated + delta.allocated,
        damaged: row.damaged + delta.damaged,
        version: row.version + 1,
      });
    }
    this.movements.push(...effects.movements);
    for (const { after } of effects.allocations) this.allocations.set(after.holdId, after);
    for (const id of effects.removeHolds) this.holds.delete(id);
    for (const hold of effects.putHolds) this.holds.set(hold.holdId, hold);
    for (const { key, ...rest } of effects.answers) this.answers.set(key, rest);
  }
}

/** Units by SKU that a list of holds claims. */
export function sumHolds(holds: Iterable<SqlHold>): Map<string, number> {
  const held = new Map<string, number>();
  for (const { lines } of holds)
    for (const { sku, quantity } of lines) held.set(sku, (held.get(sku) ?? 0) + quantity);
  return held;
}

export const SKUS = ["apple", "bread"];
const HOLDS = ["h1", "h2", "h3"];
export const BINS = [
  { aisle: 1, position: 1, level: 0 },
  { aisle: 1, position: 2, level: 0 },
];
const skuArb = fc.constantFrom(...SKUS, "unknown");
const knownArb = fc.constantFrom(...SKUS);
const holdArb = fc.constantFrom(...HOLDS);
const binArb = fc.constantFrom(...BINS);
const few = fc.integer({ min: 1, max: 6 });
const stockLine = fc.record({ sku: knownArb, bin: binArb, quantity: few });
const idArb = fc.nat({ max: 30 }).map((n) => `c${n}`);

/** Any command on two SKUs, three holds and two bins: few names, so that they meet. */
export const commandArb: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constant("receive" as const),
    id: idArb,
    lines: fc.array(stockLine, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant("allocate" as const),
    id: holdArb,
    orderId: fc.constant("o"),
    lines: fc.array(fc.record({ sku: skuArb, quantity: few }), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("release" as const), id: holdArb }),
  fc.record({
    kind: fc.constant("release-lines" as const),
    id: idArb,
    holdId: holdArb,
    lines: fc.array(fc.record({ sku: knownArb, quantity: few }), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant("return" as const),
    id: idArb,
    orderId: fc.constantFrom("o", "o", "o", "other"),
    holdId: holdArb,
    actor: fc.constant("human:1"),
    lines: fc.array(
      fc.record({
        sku: knownArb,
        bin: fc.option(binArb, { nil: undefined }),
        quantity: fc.integer({ min: 1, max: 2 }),
        condition: fc.constantFrom("sellable" as const, "damaged" as const),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  }),
  fc.record({
    kind: fc.constant("count" as const),
    id: idArb,
    actor: fc.constant("human:1"),
    lines: fc.uniqueArray(
      fc.record({
        sku: knownArb,
        bin: binArb,
        counted: fc.nat({ max: 12 }),
        fromVersion: fc.nat({ max: 6 }),
        toVersion: fc.nat({ max: 8 }),
      }),
      { minLength: 1, maxLength: 2, selector: (line) => `${line.sku} ${line.bin.position}` },
    ),
  }),
  fc.record({
    kind: fc.constantFrom("transfer-out" as const, "transfer-in" as const),
    id: idArb,
    center: fc.constant("elsewhere"),
    lines: fc.array(stockLine, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant("pick" as const),
    id: idArb,
    holdId: holdArb,
    sku: knownArb,
    bin: binArb,
    quantity: few,
    actor: fc.constant("human:1"),
  }),
  fc.record({
    kind: fc.constant("short" as const),
    id: idArb,
    holdId: holdArb,
    sku: knownArb,
    bin: binArb,
    quantity: few,
  }),
  fc.record({
    kind: fc.constant("hold" as const),
    id: holdArb,
    orderId: fc.constant("o"),
    owner: fc.constantFrom("u1", "u1", "u2"),
    callKey: fc.constantFrom("k1", "k2"),
    ttlMs: fc.constant(60_000),
    lines: fc.array(fc.record({ sku: knownArb, quantity: few }), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("drop-hold" as const), id: holdArb, queueDrop: fc.boolean() }),
  fc.record({
    kind: fc.constant("putback" as const),
    id: idArb,
    holdId: holdArb,
    lines: fc.array(stockLine, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant("adjust" as const),
    id: idArb,
    reason: fc.constantFrom("count" as const, "damage" as const),
    lines: fc.array(
      fc.record({
        sku: knownArb,
        bin: binArb,
        onHandDelta: fc.integer({ min: -3, max: 3 }),
        damagedDelta: fc.integer({ min: -2, max: 2 }),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  }),
);
