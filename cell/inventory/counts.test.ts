import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { carryOut, type Outcome, type Submitted } from "./batch.ts";
import type { Command, CountedLine } from "./commands.ts";
import { versionOf } from "./domain.ts";
import { BINS, Tables } from "./testing/tables.ts";
import { hashOf } from "./writer.ts";

const submit = (command: Command): Submitted => ({ command, bodyHash: hashOf(command) });
const bin = BINS[0]!;
const elsewhere = BINS[1]!;
let numbers = 0;

/** Carries commands out, each as a batch of its own. */
function run(tables: Tables, ...commands: Command[]): Outcome[] {
  return commands.map((command) => {
    const { outcomes, effects } = carryOut(tables.view(), [submit(command)]);
    tables.write(effects);
    return outcomes[0]!;
  });
}
const receive = (quantity: number, into = bin): Command => ({
  kind: "receive",
  id: `r${numbers++}`,
  lines: [{ sku: "apple", bin: into, quantity }],
});
const leave = (quantity: number): Command => ({
  kind: "transfer-out",
  id: `t${numbers++}`,
  center: "elsewhere",
  lines: [{ sku: "apple", bin, quantity }],
});
const versionNow = (tables: Tables) => versionOf(tables.view().balances.get("apple") ?? []);
const onHand = (tables: Tables) => tables.balances.get("apple 1-1-0")?.onHand ?? 0;
function count(tables: Tables, counted: number, fromVersion: number, toVersion: number): CountedLine {
  const line = { sku: "apple", bin, counted, fromVersion, toVersion };
  const [outcome] = run(tables, { kind: "count", id: `k${numbers++}`, actor: "human:1", lines: [line] });
  if (!outcome?.ok) throw new Error(outcome?.detail);
  return (outcome.answer as { lines: CountedLine[] }).lines[0]!;
}

const moveArb = fc.oneof(
  fc.record({ in: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ out: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ beside: fc.integer({ min: 1, max: 4 }) }),
);
const movesArb = fc.array(moveArb, { maxLength: 4 });
const toCommand = (move: { in?: number; out?: number; beside?: number }): Command =>
  move.in !== undefined
    ? receive(move.in)
    : move.out !== undefined
      ? leave(move.out)
      : receive(move.beside ?? 1, elsewhere);

describe("a count while the floor goes on", () => {
  it("makes the books what the shelf is, or changes nothing, whatever moves before, while and after", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -8, max: 8 }),
        fc.record({ before: movesArb, early: movesArb, late: movesArb, after: movesArb }),
        (lost, moves) => {
          const tables = new Tables();
          run(tables, receive(100), ...moves.before.map(toCommand));
          const fromVersion = versionNow(tables);
          run(tables, ...moves.early.map(toCommand));
          // The shelf differs from the books by what was lost or found before anybody looked.
          const counted = onHand(tables) - lost;
          run(tables, ...moves.late.map(toCommand));
          const toVersion = versionNow(tables);
          run(tables, ...moves.after.map(toCommand));
          const books = onHand(tables);
          const line = count(tables, counted, fromVersion, toVersion);
          const during = [...moves.early, ...moves.late].some((move) => !("beside" in move));
          if (!during) expect(line.outcome).toBe(lost === 0 ? "matched" : "corrected");
          expect(onHand(tables)).toBe(line.outcome === "recount" ? books : books - lost);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("asks for another when units moved in between, also when it would agree with the books of one moment", () => {
    const tables = new Tables();
    run(tables, receive(10));
    const from = versionNow(tables);
    run(tables, leave(3));
    const to = versionNow(tables);
    expect(count(tables, 7, from, to)).toMatchObject({ outcome: "recount", applied: 0 });
    // Who looked after the three had left says so by the version.
    expect(count(tables, 7, to, to)).toMatchObject({ outcome: "matched" });
    expect(count(tables, 6, to, to)).toMatchObject({ outcome: "corrected", difference: -1 });
    expect(onHand(tables)).toBe(6);
  });

  it("keeps what is promised on the books until its picker finds it missing", () => {
    const tables = new Tables();
    const lines = [{ sku: "apple", quantity: 8 }];
    run(tables, receive(10), { kind: "allocate", id: "h", orderId: "o", lines });
    const version = versionNow(tables);
    expect(count(tables, 5, version, version)).toMatchObject({
      outcome: "partly",
      difference: -5,
      applied: -2,
    });
    const floor = { holdId: "h", sku: "apple", bin };
    run(
      tables,
      { kind: "pick", id: "p", ...floor, quantity: 5, actor: "human:1" },
      { kind: "short", id: "s", ...floor, quantity: 3 },
    );
    expect(onHand(tables)).toBe(0);
  });

  it("knows a bin that was thought empty", () => {
    const tables = new Tables();
    run(tables, receive(1, elsewhere));
    expect(count(tables, 4, 1, 1)).toMatchObject({ outcome: "corrected", applied: 4 });
    expect(onHand(tables)).toBe(4);
  });

  it.each([
    ["a version that is not there yet", { fromVersion: 1, toVersion: 9 }],
    ["an end before its beginning", { fromVersion: 1, toVersion: 0 }],
    ["a SKU nobody registered", { sku: "unknown" }],
  ])("refuses %s", (_name, wrong) => {
    const tables = new Tables();
    run(tables, receive(10));
    const line = { sku: "apple", bin, counted: 3, fromVersion: 0, toVersion: 0, ...wrong };
    const [outcome] = run(tables, { kind: "count", id: "k", actor: "human:1", lines: [line] });
    expect(outcome).toMatchObject({ ok: false, code: "unprocessable" });
    expect(onHand(tables)).toBe(10);
  });

  it("refuses one bin twice", () => {
    const tables = new Tables();
    run(tables, receive(10));
    const line = { sku: "apple", bin, counted: 3, fromVersion: 1, toVersion: 1 };
    const [outcome] = run(tables, { kind: "count", id: "k", actor: "human:1", lines: [line, line] });
    expect(outcome).toMatchObject({ ok: false, code: "unprocessable" });
  });
});
