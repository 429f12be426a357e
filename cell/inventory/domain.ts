import type { Bin } from "./contract.ts";

/** One SKU in one bin. `version` grows by one with each committed change of the row. */
export interface BinBalance {
  readonly sku: string;
  readonly binId: string;
  readonly bin: Bin;
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
  readonly version: number;
}

/** Units per SKU; the shape in which two lines of one SKU are one demand. */
export interface Demand {
  readonly sku: string;
  readonly quantity: number;
}

/** Part of a demand, taken from one bin. */
export interface BinShare {
  readonly binId: string;
  readonly bin: Bin;
  readonly quantity: number;
}

export type MovementKind =
  | "receive"
  | "allocate"
  | "release"
  | "pick"
  | "short"
  | "putback"
  | "count"
  | "damage"
  | "restock"
  | "shrink"
  | "return-sellable"
  | "return-damaged"
  | "transfer-out"
  | "transfer-in"
  | "repair";

/** One entry of the ledger: relative changes of one SKU in one bin. The balances are the sum of these. */
export interface MovementDraft {
  readonly kind: MovementKind;
  readonly sku: string;
  readonly bin: Bin;
  readonly binId: string;
  readonly commandId: string;
  readonly holdId?: string;
  readonly actor?: string;
  readonly onHandDelta: number;
  readonly allocatedDelta: number;
  readonly damagedDelta: number;
}

/** The name of a bin in the database; sorts and compares by equality only. */
export function binIdOf(bin: Bin): string {
  return `${bin.aisle}-${bin.position}-${bin.level}`;
}

/** The bin behind a name that `binIdOf` made. */
export function binOf(binId: string): Bin {
  const [aisle = 0, position = 0, level = 0] = binId.split("-").map(Number);
  return { aisle, position, level };
}

/** Units of a bin that can be promised: neither bound to an order nor damaged. */
export function freeOf(balance: Pick<BinBalance, "onHand" | "allocated" | "damaged">): number {
  return balance.onHand - balance.allocated - balance.damaged;
}

/** The number that the hold store mirrors for a SKU: what its bins can promise together. */
export function sellableOf(balances: readonly BinBalance[]): number {
  return balances.reduce((sum, balance) => sum + freeOf(balance), 0);
}

/** A SKU's version is the sum of its bins' versions: bins are never removed, so it only grows, and it needs no row of its own. */
export function versionOf(balances: readonly BinBalance[]): number {
  return balances.reduce((sum, balance) => sum + balance.version, 0);
}

/** Adds up the lines of one SKU; the result is sorted by SKU, so that every caller meets rows in the same order. */
export function aggregate(lines: readonly Demand[]): Demand[] {
  const bySku = new Map<string, number>();
  for (const { sku, quantity } of lines) bySku.set(sku, (bySku.get(sku) ?? 0) + quantity);
  return [...bySku]
    .map(([sku, quantity]) => ({ sku, quantity }))
    .sort((left, right) => (left.sku < right.sku ? -1 : 1));
}

/** Order in which a picker walks: aisle, then position, then level. */
export function byPickOrder(left: { bin: Bin }, right: { bin: Bin }): number {
  return (
    left.bin.aisle - right.bin.aisle ||
    left.bin.position - right.bin.position ||
    left.bin.level - right.bin.level
  );
}

/**
 * Chooses the bins for a quantity: the first bin on the walk that holds all of it (one stop instead of several), else bins in
 * walking order until it is covered. Undefined when the bins together do not hold enough.
 */
export function chooseBins(balances: readonly BinBalance[], quantity: number): BinShare[] | undefined {
  const walk = balances.filter((balance) => freeOf(balance) > 0).sort(byPickOrder);
  const single = walk.find((balance) => freeOf(balance) >= quantity);
  if (single) return [{ binId: single.binId, bin: single.bin, quantity }];
  const shares: BinShare[] = [];
  let missing = quantity;
  for (const balance of walk) {
    if (missing === 0) break;
    const taken = Math.min(missing, freeOf(balance));
    shares.push({ binId: balance.binId, bin: balance.bin, quantity: taken });
    missing -= taken;
  }
  return missing === 0 ? shares : undefined;
}

/** True when a row may exist: the last line that the database's CHECK constraints draw, too. */
export function isLawful(balance: Pick<BinBalance, "onHand" | "allocated" | "damaged">): boolean {
  return (
    balance.onHand >= 0 &&
    balance.allocated >= 0 &&
    balance.damaged >= 0 &&
    balance.allocated + balance.damaged <= balance.onHand
  );
}

/** Balances that a list of movements adds up to, keyed `sku bin`. */
export function foldMovements(
  movements: readonly Pick<
    MovementDraft,
    "sku" | "binId" | "onHandDelta" | "allocatedDelta" | "damagedDelta"
  >[],
): Map<string, { onHand: number; allocated: number; damaged: number }> {
  const folded = new Map<string, { onHand: number; allocated: number; damaged: number }>();
  for (const movement of movements) {
    const key = `${movement.sku} ${movement.binId}`;
    const sum = folded.get(key) ?? { onHand: 0, allocated: 0, damaged: 0 };
    sum.onHand += movement.onHandDelta;
    sum.allocated += movement.allocatedDelta;
    sum.damaged += movement.damagedDelta;
    folded.set(key, sum);
  }
  return folded;
}
