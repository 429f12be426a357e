import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { carryOut, type Effects, type Outcome, type Submitted } from "./batch.ts";
import { type Allocation, type Command, commandKey, type LedgerView, type SqlHold } from "./commands.ts";
import { type BinBalance, binIdOf, binOf, foldMovements, isLawful, type MovementDraft } from "./domain.ts";
import { openOf } from "./moves.ts";
import { hashOf } from "./writer.ts";

/** Tables in memory, written by relative changes just as the database is: what the batches leave behind. */
class Tables {
  readonly balances = new Map<
    string,
    { onHand: number; allocated: number; damaged: number; version: number }
  >();
  readonly movements: MovementDraft[] = [];
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
      answers: new Map(answers),
    };
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

function sumHolds(holds: Iterable<SqlHold>): Map<string, number> {
  const held = new Map<string, number>();
  for (const { lines } of holds)
    for (const { sku, quantity } of lines) held.set(sku, (held.get(sku) ?? 0) + quantity);
  return held;
}

const SKUS = ["apple", "bread"];
const HOLDS = ["h1", "h2", "h3"];
const BINS = [
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

const commandArb: fc.Arbitrary<Command> = fc.oneof(
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

const submit = (command: Command): Submitted => ({ command, bodyHash: hashOf(command) });

function checkInvariants(tables: Tables): void {
  const folded = foldMovements(tables.movements);
  const openByBin = new Map<string, number>();
  for (const { lines } of tables.allocations.values()) {
    for (const line of lines) {
      expect(openOf(line)).toBeGreaterThanOrEqual(0);
      expect(line.putBack).toBeLessThanOrEqual(line.picked);
      const key = `${line.sku} ${line.binId}`;
      openByBin.set(key, (openByBin.get(key) ?? 0) + openOf(line));
    }
  }
  for (const [key, { version: _, ...row }] of tables.balances) {
    expect(isLawful(row)).toBe(true);
    expect(row).toEqual(folded.get(key));
    expect(row.allocated).toBe(openByBin.get(key) ?? 0);
  }
}

describe("batches of commands", () => {
  it("keep every balance lawful and equal to the fold of its movements, whatever comes in whatever batch", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(commandArb, { minLength: 1, maxLength: 8 }), { maxLength: 12 }),
        (batches) => {
          const tables = new Tables();
          for (const batch of batches) {
            const view = tables.view();
            tables.write(carryOut(view, batch.map(submit)).effects);
            checkInvariants(tables);
            for (const sku of SKUS) {
              expect(view.held.get(sku) ?? 0).toBe(sumHolds(tables.holds.values()).get(sku) ?? 0);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it("come to the same as their commands one by one", () => {
    fc.assert(
      fc.property(fc.array(commandArb, { minLength: 1, maxLength: 12 }), (commands) => {
        const together = new Tables();
        const { outcomes, effects } = carryOut(together.view(), commands.map(submit));
        together.write(effects);
        const apart = new Tables();
        const single: Outcome[] = commands.map((command) => {
          const {
            outcomes: [outcome],
            effects: own,
          } = carryOut(apart.view(), [submit(command)]);
          apart.write(own);
          return outcome!;
        });
        expect(outcomes).toEqual(single);
        const without = (tables: Tables) =>
          [...tables.balances].map(([key, { version: _, ...row }]) => [key, row]).sort();
        expect(without(together)).toEqual(without(apart));
        expect([...together.allocations].sort()).toEqual([...apart.allocations].sort());
      }),
    );
  });

  it("answer a repetition with the first answer and change nothing", () => {
    fc.assert(
      fc.property(fc.array(commandArb, { minLength: 1, maxLength: 12 }), (commands) => {
        const tables = new Tables();
        const first = carryOut(tables.view(), commands.map(submit));
        tables.write(first.effects);
        const before = JSON.stringify([...tables.balances]);
        for (const [index, outcome] of first.outcomes.entries()) {
          if (!outcome.ok || commandKey(commands[index]!) === undefined) continue;
          const again = carryOut(tables.view(), [submit(commands[index]!)]);
          expect(again.outcomes[0]).toEqual({ ...outcome, replayed: true });
          tables.write(again.effects);
        }
        expect(JSON.stringify([...tables.balances])).toBe(before);
      }),
    );
  });
});

function filled(units: number): Tables {
  const tables = new Tables();
  const lines = [{ sku: "apple", bin: BINS[0]!, quantity: units }];
  tables.write(carryOut(tables.view(), [submit({ kind: "receive", id: "r", lines })]).effects);
  return tables;
}

describe("refusals", () => {
  const allocate: Command = {
    kind: "allocate",
    id: "h1",
    orderId: "o",
    lines: [{ sku: "apple", quantity: 3 }],
  };
  const floor = { holdId: "h1", sku: "apple", bin: BINS[0]! };
  const cases: [string, Command[], Command, string][] = [
    [
      "more than there is, in two lines",
      [],
      {
        ...allocate,
        lines: [
          { sku: "apple", quantity: 6 },
          { sku: "apple", quantity: 6 },
        ],
      },
      "out-of-stock",
    ],
    [
      "a SKU nobody registered",
      [],
      { ...allocate, lines: [{ sku: "unknown", quantity: 1 }] },
      "unprocessable",
    ],
    ["an allocation after its release", [{ kind: "release", id: "h1" }], allocate, "conflict"],
    [
      "one hold id for two orders' lines",
      [allocate],
      { ...allocate, lines: [{ sku: "apple", quantity: 1 }] },
      "idempotency-key-reused",
    ],
    [
      "a pick without an allocation",
      [],
      { kind: "pick", id: "p", ...floor, quantity: 1, actor: "x" },
      "not-found",
    ],
    [
      "a pick from another bin",
      [allocate],
      { kind: "pick", id: "p", ...floor, bin: BINS[1]!, quantity: 1, actor: "x" },
      "conflict",
    ],
    [
      "picking more than allocated",
      [allocate],
      { kind: "pick", id: "p", ...floor, quantity: 4, actor: "x" },
      "conflict",
    ],
    [
      "a short of units that are picked",
      [allocate, { kind: "pick", id: "p", ...floor, quantity: 3, actor: "x" }],
      { kind: "short", id: "s", ...floor, quantity: 1 },
      "conflict",
    ],
    [
      "putting back what was not picked",
      [allocate],
      { kind: "putback", id: "b", holdId: "h1", lines: [{ sku: "apple", bin: BINS[0]!, quantity: 1 }] },
      "conflict",
    ],
    [
      "a count below what is promised",
      [allocate],
      { kind: "adjust", id: "a", reason: "count", lines: [{ ...floor, onHandDelta: -8, damagedDelta: 0 }] },
      "conflict",
    ],
  ];
  it.each(cases)("refuse %s", (_name, before, command, code) => {
    const tables = filled(10);
    for (const earlier of before) {
      const { outcomes, effects } = carryOut(tables.view(), [submit(earlier)]);
      expect(outcomes[0]?.ok).toBe(true);
      tables.write(effects);
    }
    const { outcomes, effects } = carryOut(tables.view(), [submit(command)]);
    expect(outcomes[0]).toMatchObject({ ok: false, code });
    expect(effects.balances).toEqual([]);
    expect(effects.answers).toEqual([]);
  });

  it("name each SKU that is short", () => {
    const tables = filled(2);
    const lines = [
      { sku: "apple", quantity: 3 },
      { sku: "bread", quantity: 1 },
    ];
    const { outcomes } = carryOut(tables.view(), [
      submit({ kind: "allocate", id: "h", orderId: "o", lines }),
    ]);
    expect(outcomes[0]).toMatchObject({
      extra: {
        short: [
          { sku: "apple", requested: 3, available: 2 },
          { sku: "bread", requested: 1, available: 0 },
        ],
      },
    });
  });
});

describe("the names of bins", () => {
  it("are what the tables are keyed by", () => expect(BINS.map(binIdOf)).toEqual(["1-1-0", "1-2-0"]));
});
