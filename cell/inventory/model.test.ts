import fc from "fast-check";
import { expect, test } from "vitest";
import { carryOut } from "./batch.ts";
import type { Command } from "./commands.ts";
import { BINS, SKUS, Tables } from "./testing/tables.ts";
import { hashOf } from "./writer.ts";

/** One order's goods, step by step; the model only counts units per SKU and knows no bins. */
type Plan = readonly ("allocate" | "again" | "pick" | "short" | "putback" | "release")[];

const ORDERS = 4;
const UNITS = 8;

interface Wish {
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly plan: Plan;
}

const wishArb: fc.Arbitrary<Wish> = fc.record({
  lines: fc.uniqueArray(
    fc.record({ sku: fc.constantFrom(...SKUS), quantity: fc.integer({ min: 1, max: 5 }) }),
    { minLength: 1, maxLength: 2, selector: ({ sku }) => sku },
  ),
  plan: fc
    .array(fc.constantFrom("again", "pick", "short", "putback", "release", "release"), { maxLength: 6 })
    .map((rest): Plan => ["allocate", ...(rest as Plan)]),
});

interface Own {
  state: "none" | "allocated" | "released";
  /** It was allocated once: the same request is answered like that for ever. */
  wasGranted: boolean;
  readonly open: Map<string, number>;
  readonly picked: Map<string, number>;
}

/** What stock should be, said in the plainest way. */
class Model {
  readonly free = new Map(SKUS.map((sku) => [sku, UNITS]));
  readonly orders = new Map<string, Own>();

  of(id: string): Own {
    const own: Own = this.orders.get(id) ?? {
      state: "none",
      wasGranted: false,
      open: new Map(),
      picked: new Map(),
    };
    this.orders.set(id, own);
    return own;
  }

  allocate(id: string, { lines }: Wish): boolean {
    const own = this.of(id);
    if (own.state !== "none") return own.wasGranted;
    if (lines.some(({ sku, quantity }) => (this.free.get(sku) ?? 0) < quantity)) return false;
    own.state = "allocated";
    own.wasGranted = true;
    for (const { sku, quantity } of lines) {
      this.free.set(sku, (this.free.get(sku) ?? 0) - quantity);
      own.open.set(sku, quantity);
    }
    return true;
  }

  release(id: string): void {
    const own = this.of(id);
    own.state = "released";
    for (const [sku, units] of own.open) this.free.set(sku, (this.free.get(sku) ?? 0) + units);
    own.open.clear();
  }
}

/** Plays one step against both; the real side takes one unit from wherever the allocation has it. */
function step(model: Model, tables: Tables, id: string, wish: Wish, what: Plan[number], nonce: string): void {
  const run = (command: Command) => {
    const submitted = { command, bodyHash: hashOf(command) };
    const { outcomes, effects } = carryOut(tables.view(), [submitted]);
    tables.write(effects);
    return outcomes[0]?.ok === true;
  };
  const own = model.of(id);
  if (what === "allocate" || what === "again") {
    const isGranted = run({ kind: "allocate", id, orderId: id, lines: wish.lines });
    expect(isGranted).toBe(model.allocate(id, wish));
    return;
  }
  if (what === "release") {
    expect(run({ kind: "release", id })).toBe(true);
    model.release(id);
    return;
  }
  const lines = tables.allocations.get(id)?.lines ?? [];
  const openIn = (line: (typeof lines)[number]) => line.quantity - line.picked - line.shorted - line.released;
  const line = lines.find((one) => (what === "putback" ? one.picked > one.putBack : openIn(one) > 0));
  const from = what === "putback" ? own.picked : own.open;
  // Both see work, or neither does.
  expect(line !== undefined).toBe([...from.values()].some((units) => units > 0));
  if (!line) return;
  const unit = { sku: line.sku, bin: line.bin, quantity: 1 };
  const add = (map: Map<string, number>, units: number) =>
    map.set(line.sku, (map.get(line.sku) ?? 0) + units);
  if (what === "putback") {
    expect(run({ kind: "putback", id: nonce, holdId: id, lines: [{ ...unit, bin: BINS[1]! }] })).toBe(true);
    add(own.picked, -1);
    add(model.free, 1);
    return;
  }
  const command: Command =
    what === "pick"
      ? { kind: "pick", id: nonce, holdId: id, ...unit, actor: "human:1" }
      : { kind: "short", id: nonce, holdId: id, ...unit };
  expect(run(command)).toBe(true);
  add(own.open, -1);
  if (what === "pick") add(own.picked, 1);
}

test("however the steps of several orders fall in with each other, stock is what counting says", () => {
  let refusals = 0;
  fc.assert(
    fc.property(
      fc.array(wishArb, { minLength: ORDERS, maxLength: ORDERS }),
      fc.array(fc.nat(1_000), { maxLength: 40, size: "max" }),
      (wishes, lots) => {
        const tables = new Tables();
        const model = new Model();
        const lines = SKUS.flatMap((sku) => BINS.map((bin) => ({ sku, bin, quantity: UNITS / BINS.length })));
        const receive: Command = { kind: "receive", id: "r", lines };
        tables.write(carryOut(tables.view(), [{ command: receive, bodyHash: hashOf(receive) }]).effects);
        const left = wishes.map((wish, index) => ({ id: `h${index}`, wish, plan: [...wish.plan] }));
        for (let turn = 0; left.some(({ plan }) => plan.length > 0); turn++) {
          const ready = left.filter(({ plan }) => plan.length > 0);
          const one = ready[(lots[turn] ?? 0) % ready.length];
          const what = one?.plan.shift();
          if (!one || what === undefined) break;
          step(model, tables, one.id, one.wish, what, `n${turn}`);
          if (model.of(one.id).state === "none") refusals++;
          for (const sku of SKUS) {
            const rows = [...tables.balances].filter(([key]) => key.startsWith(`${sku} `));
            const free = rows.reduce((sum, [, row]) => sum + row.onHand - row.allocated - row.damaged, 0);
            expect(free).toBe(model.free.get(sku));
          }
        }
      },
    ),
    { numRuns: 600 },
  );
  expect(refusals).toBeGreaterThan(0);
});
