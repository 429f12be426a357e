import { findings, type Verdict } from "./verdict.ts";

/** A row of the ledger. `version` and `ordinal` are the order in which the cell says that a SKU's stock changed. */
export interface LedgerRow {
  readonly sku: string;
  readonly binId: string;
  readonly version: number;
  readonly ordinal: number;
  readonly kind: string;
  readonly commandId: string;
  readonly holdId: string | null;
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
}

/** Seen from outside; `answeredAtMs` is infinite for a call that nobody heard the end of. */
export interface Interval {
  readonly invokedAtMs: number;
  readonly answeredAtMs: number;
}

export interface AllocationCall extends Interval {
  readonly holdId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
}

/** Stock of a SKU as it was read at a version. */
export interface StockRead extends Interval {
  readonly sku: string;
  readonly version: number;
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
}

export interface AllocationHistory {
  readonly ledger: readonly LedgerRow[];
  readonly allocations: readonly AllocationCall[];
  /** By the id of the command, which is the hold's where all of it was released. */
  readonly releases: ReadonlyMap<string, Interval>;
  readonly reads: readonly StockRead[];
}

/**
 * Whether allocations, releases and reads of stock are linearizable. The ledger claims an order for each SKU, so no order has to be
 * searched for: the claimed one is checked. It is a linearization when it respects time (what was answered before another was asked
 * comes first), when no step of it promises a unit that is not there, when each answered call is in it exactly once with its units,
 * and when each read tells what the ledger has at its version. A cell that claims a false order fails here, too, and should.
 */
export function checkAllocations(history: AllocationHistory): Verdict {
  const found = findings("allocations are linearizable");
  const calls = new Map(history.allocations.map((call) => [call.holdId, call]));
  const bySku = new Map<string, LedgerRow[]>();
  for (const row of history.ledger) {
    const own = bySku.get(row.sku) ?? [];
    bySku.set(row.sku, own);
    own.push(row);
  }
  const versions = new Map<string, Snapshot[]>();
  for (const [sku, rows] of bySku) {
    rows.sort((left, right) => left.version - right.version || left.ordinal - right.ordinal);
    replay(sku, rows, (text) => found.wrong(text), versions);
    inTime(sku, rows, history, calls, (text) => found.wrong(text));
  }
  once(history, calls, found);
  for (const read of history.reads) {
    found.saw();
    const rows = bySku.get(read.sku) ?? [];
    const interval = (row: LedgerRow) => intervalOf(row, calls, history.releases);
    readFits(read, versions.get(read.sku) ?? [], rows, interval, (text) => found.wrong(text));
  }
  return found.verdict();
}

interface Snapshot {
  readonly version: number;
  readonly onHand: number;
  readonly allocated: number;
  readonly damaged: number;
}

/** Walks the ledger of one SKU; every step must be lawful in its bin. */
function replay(
  sku: string,
  rows: readonly LedgerRow[],
  wrong: (text: string) => void,
  versions: Map<string, Snapshot[]>,
): void {
  const bins = new Map<string, { onHand: number; allocated: number; damaged: number }>();
  const total = { onHand: 0, allocated: 0, damaged: 0 };
  const snapshots: Snapshot[] = [];
  for (const row of rows) {
    const bin = bins.get(row.binId) ?? { onHand: 0, allocated: 0, damaged: 0 };
    bins.set(row.binId, bin);
    for (const field of ["onHand", "allocated", "damaged"] as const) {
      bin[field] += row[field];
      total[field] += row[field];
    }
    const free = bin.onHand - bin.allocated - bin.damaged;
    if (free < 0 || bin.onHand < 0 || bin.allocated < 0 || bin.damaged < 0)
      wrong(
        `${sku} in ${row.binId}: at version ${row.version} ${row.kind} ${row.commandId} leaves ${bin.onHand} on hand, ${bin.allocated} allocated, ${bin.damaged} damaged`,
      );
    if (snapshots.at(-1)?.version === row.version) snapshots.pop();
    snapshots.push({ version: row.version, ...total });
  }
  versions.set(sku, snapshots);
}

/** What was answered before another was asked comes before it in the ledger. */
function inTime(
  sku: string,
  rows: readonly LedgerRow[],
  { releases }: AllocationHistory,
  calls: ReadonlyMap<string, AllocationCall>,
  wrong: (text: string) => void,
): void {
  let latest: { atMs: number; id: string } | undefined;
  for (const row of rows) {
    const interval = intervalOf(row, calls, releases);
    if (!interval) continue;
    if (latest && interval.answeredAtMs < latest.atMs)
      wrong(
        `${sku}: ${row.kind} ${row.commandId} was answered before ${latest.id} was asked, but comes after it`,
      );
    if (!latest || interval.invokedAtMs > latest.atMs)
      latest = { atMs: interval.invokedAtMs, id: `${row.kind} ${row.commandId}` };
  }
}

function intervalOf(
  row: LedgerRow,
  calls: ReadonlyMap<string, AllocationCall>,
  releases: ReadonlyMap<string, Interval>,
): Interval | undefined {
  if (row.kind === "allocate") return calls.get(row.holdId ?? "");
  return row.kind === "release" ? releases.get(row.commandId) : undefined;
}

/** Each answered allocation is in the ledger once, with its units; nothing is there that nobody asked for. */
function once(
  { ledger, allocations }: AllocationHistory,
  calls: ReadonlyMap<string, AllocationCall>,
  found: ReturnType<typeof findings>,
): void {
  const given = new Map<string, Map<string, number>>();
  for (const { kind, holdId, sku, allocated } of ledger) {
    if (kind !== "allocate" || holdId === null) continue;
    const own = given.get(holdId) ?? new Map<string, number>();
    given.set(holdId, own.set(sku, (own.get(sku) ?? 0) + allocated));
  }
  for (const call of allocations) {
    found.saw();
    const own = given.get(call.holdId);
    if (!own) {
      if (Number.isFinite(call.answeredAtMs))
        found.wrong(`allocation ${call.holdId} was promised and is not in the ledger`);
      continue;
    }
    const wanted = new Map<string, number>();
    for (const { sku, quantity } of call.lines) wanted.set(sku, (wanted.get(sku) ?? 0) + quantity);
    for (const sku of new Set([...wanted.keys(), ...own.keys()]))
      if (wanted.get(sku) !== own.get(sku))
        found.wrong(
          `allocation ${call.holdId}: ${own.get(sku) ?? 0} of ${sku} in the ledger, ${wanted.get(sku) ?? 0} asked`,
        );
  }
  for (const holdId of given.keys())
    if (!calls.has(holdId)) found.wrong(`allocation ${holdId} is in the ledger and nobody asked for it`);
}

/** A read tells what the ledger has at its version, and its version is at least that of all that was answered before it was asked. */
function readFits(
  read: StockRead,
  snapshots: readonly Snapshot[],
  rows: readonly LedgerRow[],
  intervalOfRow: (row: LedgerRow) => Interval | undefined,
  wrong: (text: string) => void,
): void {
  const at = snapshots.findLast(({ version }) => version <= read.version);
  if (!at) {
    wrong(`${read.sku} was read at version ${read.version}, which the ledger does not have`);
    return;
  }
  for (const field of ["onHand", "allocated", "damaged"] as const)
    if (at[field] !== read[field])
      wrong(
        `${read.sku} was read with ${field} ${read[field]} at version ${read.version}; the ledger has ${at[field]}`,
      );
  const missed = rows.find((row) => {
    if (row.version <= read.version) return false;
    const interval = intervalOfRow(row);
    return interval !== undefined && interval.answeredAtMs < read.invokedAtMs;
  });
  if (missed)
    wrong(
      `${read.sku} was read at version ${read.version} after ${missed.kind} ${missed.commandId} (version ${missed.version}) had been answered`,
    );
}
