import { type Failure, fail } from "../../platform/problem.ts";
import {
  type Allocation,
  type Change,
  type Command,
  commandKey,
  type EventDraft,
  type LedgerView,
  type SettledCommand,
  type SqlHold,
} from "./commands.ts";
import { type BinBalance, type Demand, type MovementDraft, sellableOf, versionOf } from "./domain.ts";
import { decide } from "./ledger.ts";

/** A command with the hash of what it says, so that one id cannot stand for two things. */
export interface Submitted {
  readonly command: Command;
  readonly bodyHash: string;
  /** Trace of the request, for the events that come of it. */
  readonly traceparent?: string | undefined;
}

/** What one command came to. `replayed`: it had been carried out before, this is the answer of then. */
export type Outcome = { readonly ok: true; readonly answer: unknown; readonly replayed: boolean } | Failure;

/** Relative change of one row of `balance`. `isNew`: the bin never held this SKU. */
export interface BalanceDelta {
  readonly sku: string;
  readonly binId: string;
  readonly bin: BinBalance["bin"];
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
  readonly isNew: boolean;
}
/** A SKU's sellable units at a version: absolute, and only ever replaced by a newer version. */
export interface MirrorValue {
  readonly sku: string;
  readonly version: number;
  readonly sellable: number;
}
export interface AllocationEffect {
  readonly before: Allocation | undefined;
  readonly after: Allocation;
}

/** All that a batch writes, in one transaction. */
export interface Effects {
  readonly balances: readonly BalanceDelta[];
  readonly movements: readonly (MovementDraft & { readonly version: number; readonly ordinal: number })[];
  readonly answers: readonly { readonly key: string; readonly bodyHash: string; readonly answer: unknown }[];
  readonly allocations: readonly AllocationEffect[];
  readonly putHolds: readonly SqlHold[];
  readonly removeHolds: readonly string[];
  readonly drops: readonly string[];
  readonly mirrors: readonly MirrorValue[];
  readonly settled: readonly SettledCommand[];
  readonly counts: readonly NonNullable<Change["counts"]>[number][];
  readonly events: readonly EventDraft[];
}

/** True when nothing is to be written. */
export function isEmpty(effects: Effects): boolean {
  return Object.values(effects).every((list) => list.length === 0);
}

/**
 * Carries out a batch over what a transaction has read: each command sees the effects of those before it, one that is refused
 * changes nothing. Moves the view on; returns what is to be written.
 */
export function carryOut(
  view: LedgerView,
  commands: readonly Submitted[],
): { outcomes: Outcome[]; effects: Effects } {
  const allocationsBefore = new Map(view.allocations);
  const holdsBefore = new Map(view.holds);
  const balancesBefore = new Map(view.balances);
  const changes: Change[] = [];
  const answers: Effects["answers"][number][] = [];
  const events: EventDraft[] = [];
  const outcomes = commands.map(({ command, bodyHash, traceparent }): Outcome => {
    const key = commandKey(command);
    const stored = key === undefined ? undefined : view.answers.get(key);
    if (stored) return replay(stored, bodyHash, command);
    const decision = decide(view, command);
    if (!decision.ok) return decision;
    advance(view, decision.change);
    changes.push(decision.change);
    events.push(...(decision.change.events ?? []).map((event) => ({ ...event, traceparent })));
    if (key !== undefined) {
      view.answers.set(key, { bodyHash, answer: decision.answer });
      answers.push({ key, bodyHash, answer: decision.answer });
    }
    return { ok: true, answer: decision.answer, replayed: false };
  });
  return {
    outcomes,
    effects: {
      ...stockEffects(view, balancesBefore, changes),
      answers,
      allocations: allocationEffects(view, allocationsBefore, changes),
      ...holdEffects(view, holdsBefore, changes),
      drops: [...new Set(changes.flatMap((change) => change.drop ?? []))],
      settled: changes.flatMap((change) => change.settled ?? []),
      counts: changes.flatMap((change) => change.counts ?? []),
      events,
    },
  };
}

function replay(stored: { bodyHash: string; answer: unknown }, bodyHash: string, command: Command): Outcome {
  if (stored.bodyHash === bodyHash) return { ok: true, answer: stored.answer, replayed: true };
  return fail(
    "idempotency-key-reused",
    `The ${command.kind} ${command.id} was carried out before with other contents: use a new id.`,
  );
}

/** Moves the working copy on by an accepted change. */
export function advance(view: LedgerView, change: Change): void {
  for (const draft of change.movements) {
    const rows = view.balances.get(draft.sku) ?? [];
    const found = rows.find((row) => row.binId === draft.binId);
    const base = found ?? emptyRow(draft);
    const next: BinBalance = {
      ...base,
      onHand: base.onHand + draft.onHandDelta,
      allocated: base.allocated + draft.allocatedDelta,
      damaged: base.damaged + draft.damagedDelta,
    };
    view.balances.set(draft.sku, found ? rows.map((row) => (row === found ? next : row)) : [...rows, next]);
  }
  if (change.allocation) view.allocations.set(change.allocation.holdId, change.allocation);
  if (change.removeHold !== undefined) putHold(view, change.removeHold, undefined);
  if (change.hold) putHold(view, change.hold.holdId, change.hold);
}

function putHold(view: LedgerView, holdId: string, hold: SqlHold | undefined): void {
  const count = (lines: readonly Demand[], sign: 1 | -1) => {
    for (const { sku, quantity } of lines) view.held.set(sku, (view.held.get(sku) ?? 0) + sign * quantity);
  };
  count(view.holds.get(holdId)?.lines ?? [], -1);
  count(hold?.lines ?? [], 1);
  if (hold) view.holds.set(holdId, hold);
  else view.holds.delete(holdId);
}

function emptyRow({ sku, binId, bin }: MovementDraft): BinBalance {
  return { sku, binId, bin, onHand: 0, allocated: 0, damaged: 0, version: 0 };
}

function stockEffects(
  view: LedgerView,
  before: ReadonlyMap<string, readonly BinBalance[]>,
  changes: readonly Change[],
): Pick<Effects, "balances" | "movements" | "mirrors"> {
  const drafts = changes.flatMap((change) => change.movements);
  const deltas = new Map<string, BalanceDelta>();
  for (const draft of drafts) {
    const key = `${draft.sku} ${draft.binId}`;
    const sum = deltas.get(key);
    deltas.set(key, {
      sku: draft.sku,
      binId: draft.binId,
      bin: draft.bin,
      onHand: (sum?.onHand ?? 0) + draft.onHandDelta,
      allocated: (sum?.allocated ?? 0) + draft.allocatedDelta,
      damaged: (sum?.damaged ?? 0) + draft.damagedDelta,
      isNew: !before.get(draft.sku)?.some((row) => row.binId === draft.binId),
    });
  }
  const versions = new Map<string, number>();
  for (const { sku } of deltas.values()) {
    versions.set(sku, (versions.get(sku) ?? versionOf(before.get(sku) ?? [])) + 1);
  }
  return {
    // Sorted, so that two writers meet the rows in the same order.
    balances: [...deltas.values()].sort((left, right) =>
      `${left.sku} ${left.binId}` < `${right.sku} ${right.binId}` ? -1 : 1,
    ),
    movements: drafts.map((draft, ordinal) => ({ ...draft, ordinal, version: versions.get(draft.sku) ?? 0 })),
    mirrors: [...versions].map(([sku, version]) => ({
      sku,
      version,
      sellable: sellableOf(view.balances.get(sku) ?? []),
    })),
  };
}

function allocationEffects(
  view: LedgerView,
  before: ReadonlyMap<string, Allocation>,
  changes: readonly Change[],
): AllocationEffect[] {
  const touched = new Set(changes.flatMap((change) => change.allocation?.holdId ?? []));
  return [...touched].map((holdId) => ({ before: before.get(holdId), after: view.allocations.get(holdId)! }));
}

function holdEffects(
  view: LedgerView,
  before: ReadonlyMap<string, SqlHold>,
  changes: readonly Change[],
): Pick<Effects, "putHolds" | "removeHolds"> {
  const touched = new Set(
    changes.flatMap((change) => [change.hold?.holdId ?? [], change.removeHold ?? []].flat()),
  );
  const putHolds: SqlHold[] = [];
  const removeHolds: string[] = [];
  for (const holdId of touched) {
    const after = view.holds.get(holdId);
    if (after && after !== before.get(holdId)) putHolds.push(after);
    else if (!after && before.has(holdId)) removeHolds.push(holdId);
  }
  return { putHolds, removeHolds };
}
