import { type Failure, fail } from "../../platform/problem.ts";
import type { AllocationLine, Change, Command, LedgerView } from "./commands.ts";
import type { Bin } from "./contract.ts";
import { type BinBalance, binIdOf, isLawful, type MovementDraft } from "./domain.ts";

/** A command that may be carried out: what the caller is told, and what changes. */
export interface Accepted {
  readonly ok: true;
  readonly answer: unknown;
  readonly change: Change;
}
export type Decision = Accepted | Failure;

/** The command of one kind. */
export type CommandOf<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** Refuses SKUs that were never registered here. */
export function unknownSkus(view: LedgerView, skus: readonly string[]): Failure | undefined {
  const unknown = [...new Set(skus.filter((sku) => !view.skus.has(sku)))];
  if (unknown.length === 0) return undefined;
  return fail(
    "unprocessable",
    `This center knows no SKU ${unknown.slice(0, 5).join(", ")}: register it first.`,
    {
      unknown,
    },
  );
}

/** One ledger entry; the deltas that are left out are zero. */
export function movement(
  kind: MovementDraft["kind"],
  commandId: string,
  place: { sku: string; bin: Bin },
  deltas: { onHand?: number; allocated?: number; damaged?: number },
  more: { holdId?: string; actor?: string } = {},
): MovementDraft {
  return {
    kind,
    sku: place.sku,
    bin: place.bin,
    binId: binIdOf(place.bin),
    commandId,
    onHandDelta: deltas.onHand ?? 0,
    allocatedDelta: deltas.allocated ?? 0,
    damagedDelta: deltas.damaged ?? 0,
    ...more,
  };
}

/** Refuses movements that would leave a bin with less than nothing, or with less than is promised from it. */
export function unlawful(view: LedgerView, movements: readonly MovementDraft[]): Failure | undefined {
  const bins = new Map<string, { onHand: number; allocated: number; damaged: number }>();
  for (const draft of movements) {
    const key = `${draft.sku} ${draft.binId}`;
    const found = bins.get(key) ?? { ...(balanceOf(view, draft.sku, draft.binId) ?? EMPTY) };
    found.onHand += draft.onHandDelta;
    found.allocated += draft.allocatedDelta;
    found.damaged += draft.damagedDelta;
    bins.set(key, found);
  }
  for (const [key, found] of bins) {
    if (isLawful(found)) continue;
    const [sku, bin] = key.split(" ");
    return fail(
      "conflict",
      `SKU ${sku} in bin ${bin} would have ${found.onHand} on hand for ${found.allocated} allocated and ${found.damaged} damaged: release or recount first.`,
    );
  }
  return undefined;
}

const EMPTY = { onHand: 0, allocated: 0, damaged: 0 };

function balanceOf(view: LedgerView, sku: string, binId: string): BinBalance | undefined {
  return view.balances.get(sku)?.find((balance) => balance.binId === binId);
}

/** The refusal that names each SKU that is short, what was asked and what is there. */
export function outOfStock(short: readonly { sku: string; requested: number; available: number }[]): Failure {
  const first = short[0];
  return fail(
    "out-of-stock",
    `Only ${Math.max(0, first?.available ?? 0)} of ${first?.requested} units of SKU ${first?.sku} are available: order fewer or something else.`,
    { short: short.map((line) => ({ ...line, available: Math.max(0, line.available) })) },
  );
}

/** Picked units of a line that are with the customer, or on the way there or back. */
export function outOf(line: Pick<AllocationLine, "picked" | "putBack" | "returned">): number {
  return line.picked - line.putBack - line.returned;
}

/** Units of a line that still wait for a picker. */
export function openOf(line: Pick<AllocationLine, "quantity" | "picked" | "shorted" | "released">): number {
  return line.quantity - line.picked - line.shorted - line.released;
}
