import { type CounterCall, overdraft } from "./counter.ts";
import { findings, type Verdict } from "./verdict.ts";

/** A hold as it was granted by the hold store. */
export interface GrantedHold {
  readonly holdId: string;
  /** The incarnation of the hold store that granted it. */
  readonly generation: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly invokedAtMs: number;
  readonly answeredAtMs: number;
  /** When its units could be free again at the earliest: its release or that of its allocation was asked for, or it ran out. */
  readonly endsAtMs: number;
}

export interface HoldHistory {
  readonly holds: readonly GrantedHold[];
  /** Units of each SKU that there ever were. */
  readonly stock: ReadonlyMap<string, number>;
}

/** Holds that SQL granted while the hold store was away promise nothing about those that the store granted before. */
const SQL_GENERATION = /^sql-/;

/**
 * Whether holds are linearizable inside one generation of the hold store: of no SKU are more units held at one moment than there are.
 * A hold that became an allocation keeps its units. Two generations are not compared: a new one may revoke a hold, and then its units
 * are given again; the allocation decides, and `checkAllocations` judges that.
 */
export function checkHolds({ holds, stock }: HoldHistory): Verdict {
  const found = findings("holds are linearizable inside a generation");
  const calls = new Map<string, CounterCall[]>();
  for (const hold of holds) {
    if (SQL_GENERATION.test(hold.generation)) continue;
    found.saw();
    for (const { sku, quantity: units } of hold.lines) {
      const key = `${hold.generation}\n${sku}`;
      const own = calls.get(key) ?? [];
      calls.set(key, own);
      const { holdId: id, invokedAtMs, answeredAtMs, endsAtMs } = hold;
      own.push({ id, kind: "take", units, invokedAtMs, answeredAtMs });
      if (Number.isFinite(endsAtMs))
        own.push({ id, kind: "put", units, invokedAtMs: endsAtMs, answeredAtMs: Number.POSITIVE_INFINITY });
    }
  }
  for (const [key, own] of calls) {
    const [generation = "", sku = ""] = key.split("\n");
    const over = overdraft(stock.get(sku) ?? 0, own);
    if (over)
      found.wrong(`${sku} in generation ${generation}: hold ${over.id} was given ${over.units} too many`);
  }
  return found.verdict();
}
