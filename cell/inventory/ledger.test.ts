import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { carryOut, type Outcome, type Submitted } from "./batch.ts";
import { type Command, commandKey } from "./commands.ts";
import { binIdOf, foldMovements, isLawful } from "./domain.ts";
import { openOf, outOf } from "./moves.ts";
import { BINS, commandArb, SKUS, sumHolds, Tables } from "./testing/tables.ts";
import { hashOf } from "./writer.ts";

const submit = (command: Command): Submitted => ({ command, bodyHash: hashOf(command) });

function checkInvariants(tables: Tables): void {
  const folded = foldMovements(tables.movements);
  const openByBin = new Map<string, number>();
  for (const { lines } of tables.allocations.values()) {
    for (const line of lines) {
      expect(openOf(line)).toBeGreaterThanOrEqual(0);
      expect(outOf(line)).toBeGreaterThanOrEqual(0);
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
      fc.property(fc.array(commandArb, { minLength: 1, maxLength: 12 }), (drawn) => {
        // What a count means depends on versions, and those count batches.
        const commands = drawn.filter(({ kind }) => kind !== "count");
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
