import type { LedgerRow } from "./allocations.ts";
import { findings, type Verdict } from "./verdict.ts";

export interface BalanceRow {
  readonly sku: string;
  readonly binId: string;
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
}

/** Units of allocations that are neither picked, short nor released. */
export interface OpenRow {
  readonly sku: string;
  readonly binId: string;
  readonly open: number;
}

/** What the hold store says of a SKU. */
export interface MirrorRow {
  readonly sku: string;
  readonly reserved: number;
  readonly available: number;
}

export interface Books {
  readonly ledger: readonly LedgerRow[];
  readonly balances: readonly BalanceRow[];
  readonly open: readonly OpenRow[];
  /** After everything has settled; empty to leave the hold store out. */
  readonly mirror: readonly MirrorRow[];
  /** Units of each SKU that were brought in, as the one who brought them counted. */
  readonly received: ReadonlyMap<string, number>;
  /** Units of each SKU that left with delivered orders, as the orders say. */
  readonly delivered: ReadonlyMap<string, number>;
  /** Units of each SKU that customers brought back, as the orders say. */
  readonly returned: ReadonlyMap<string, number>;
}

const FIELDS = ["onHand", "allocated", "damaged"] as const;

/**
 * Whether the ledger is conserved at the end: balances are its fold, open allocations are what is allocated, nothing came or went but what
 * was received and delivered or what a person wrote down, and the hold store has come to the same numbers.
 */
export function checkLedger(books: Books): Verdict {
  const found = findings("the ledger is conserved");
  const folded = new Map<string, { onHand: number; allocated: number; damaged: number }>();
  for (const row of books.ledger) {
    found.saw();
    const key = `${row.sku} ${row.binId}`;
    const sum = folded.get(key) ?? { onHand: 0, allocated: 0, damaged: 0 };
    for (const field of FIELDS) sum[field] += row[field];
    folded.set(key, sum);
  }
  const balances = new Map(books.balances.map((row) => [`${row.sku} ${row.binId}`, row]));
  for (const key of new Set([...folded.keys(), ...balances.keys()]))
    for (const field of FIELDS) {
      const [has, should] = [balances.get(key)?.[field] ?? 0, folded.get(key)?.[field] ?? 0];
      if (has !== should) found.wrong(`${key}: ${field} is ${has}, the ledger says ${should}`);
    }
  const open = new Map(books.open.map((row) => [`${row.sku} ${row.binId}`, row.open]));
  for (const key of new Set([...open.keys(), ...balances.keys()])) {
    const [has, should] = [balances.get(key)?.allocated ?? 0, open.get(key) ?? 0];
    if (has !== should) found.wrong(`${key}: ${has} are allocated, open allocations have ${should}`);
  }
  wholeSkus(books, found);
  return found.verdict();
}

/** What people wrote down about goods that came or went without an order. */
const WRITTEN_DOWN = new Set(["count", "damage", "restock", "repair", "short", "shrink"]);
/** Sellable or damaged: either way it is on hand again. */
const RETURN = /^return-/;

function wholeSkus(books: Books, found: ReturnType<typeof findings>): void {
  const sums = new Map<
    string,
    { onHand: number; free: number; came: number; back: number; written: number }
  >();
  for (const row of books.ledger) {
    const sum = sums.get(row.sku) ?? { onHand: 0, free: 0, came: 0, back: 0, written: 0 };
    sums.set(row.sku, sum);
    sum.onHand += row.onHand;
    sum.free += row.onHand - row.allocated - row.damaged;
    if (row.kind === "receive") sum.came += row.onHand;
    if (RETURN.test(row.kind)) sum.back += row.onHand;
    if (WRITTEN_DOWN.has(row.kind)) sum.written += row.onHand;
  }
  for (const [sku, { onHand, came, back, written }] of sums) {
    const received = books.received.get(sku) ?? 0;
    if (came !== received) found.wrong(`${sku}: ${received} were received, the ledger has ${came}`);
    const returned = books.returned.get(sku) ?? 0;
    if (back !== returned) found.wrong(`${sku}: ${returned} were brought back, the ledger has ${back}`);
    const gone = books.delivered.get(sku) ?? 0;
    if (received + written + returned - gone !== onHand)
      found.wrong(
        `${sku}: ${received} came, ${gone} went, ${returned} came back, ${written} were written down, ${onHand} are on hand`,
      );
  }
  for (const { sku, reserved, available } of books.mirror) {
    const free = sums.get(sku)?.free ?? 0;
    if (reserved !== 0 || available !== free)
      found.wrong(`${sku}: the hold store has ${reserved} held and ${available} to sell, the ledger ${free}`);
  }
}
