import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Tx } from "../../platform/sql.ts";
import type { Effects, MirrorValue } from "./batch.ts";
import type { SettledCommand } from "./commands.ts";
import type { HoldStore } from "./holds.ts";

/** Brings what SQL has committed to the hold store, at once where that works and again where it did not. */
export interface Mirror {
  /** After a commit: drops its holds and raises its SKUs in one call. Never throws; what fails is drained later. */
  committed(effects: Effects): Promise<void>;
  /** Repeats for notes that nobody has settled for a while; the number of notes taken up. */
  drain(): Promise<number>;
  /** Notes that the hold store has taken and that may be deleted; each is handed out once. */
  takeSettled(): Pick<SettledCommand, "mirrors" | "holdIds"> | undefined;
}

export interface MirrorOptions {
  readonly sql: Tx;
  readonly holds: HoldStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called when the hold store cannot be reached. */
  readonly storeAway: () => void;
  /** Longest time for which a caller waits for the hold store after its commit. */
  readonly patienceMs?: number;
}

const DEFAULT_PATIENCE_MS = 100;
const DRAIN_LIMIT = 500;
const SETTLED_LIMIT = 1_000;

/** Reads what the given SKUs can sell, each at its version, in one statement: one consistent snapshot. */
export async function readMirror(sql: Tx, skus: readonly string[]): Promise<MirrorValue[]> {
  return await sql.query<{ sku: string; version: number; sellable: number }>(
    `SELECT s.sku, coalesce(sum(b.version), 0)::INT8 AS version,
       coalesce(sum(b.on_hand - b.allocated - b.damaged), 0)::INT8 AS sellable
     FROM inventory.sku s LEFT JOIN inventory.balance b ON b.sku = s.sku
     WHERE s.sku = ANY($1::TEXT[]) GROUP BY s.sku`,
    [skus],
  );
}

/** One page of all SKUs in order, for those who walk through the whole mirror. */
export async function readMirrorPage(sql: Tx, after: string, limit: number): Promise<MirrorValue[]> {
  const page = await sql.query<{ sku: string }>(
    "SELECT sku FROM inventory.sku WHERE sku > $1 ORDER BY sku LIMIT $2",
    [after, limit],
  );
  if (page.length === 0) return [];
  const values = await readMirror(
    sql,
    page.map((row) => row.sku),
  );
  return values.sort((left, right) => (left.sku < right.sku ? -1 : 1));
}

/** Makes the mirror of one process. */
export function createMirror(options: MirrorOptions): Mirror {
  const { sql, holds, log, metrics, patienceMs = DEFAULT_PATIENCE_MS } = options;
  const failures = metrics.counter(
    "inventory_mirror_failures_total",
    "Commits that the hold store did not take at once.",
  );
  const overdue = metrics.gauge(
    "inventory_mirror_overdue",
    "Notes for the hold store that were overdue at the last drain.",
  );
  let settledMirrors: { sku: string; version: number }[] = [];
  let settledHolds: string[] = [];
  let failing = false;

  async function settle(holdIds: readonly string[], mirrors: readonly MirrorValue[]): Promise<void> {
    const { fenced, dropped } = await holds.settle(holdIds, mirrors);
    if (fenced) return;
    // A list that is full only means that the drain repeats what it cannot remember: settling twice is harmless.
    if (settledMirrors.length < SETTLED_LIMIT)
      settledMirrors.push(...mirrors.map(({ sku, version }) => ({ sku, version })));
    if (dropped && settledHolds.length < SETTLED_LIMIT) settledHolds.push(...holdIds);
  }

  return {
    async committed(effects) {
      const { drops, mirrors } = effects;
      if (drops.length === 0 && mirrors.length === 0) return;
      const telling = settle(drops, mirrors).then(
        () => {
          failing = false;
        },
        (error: unknown) => {
          failures.inc();
          options.storeAway();
          if (!failing)
            log.warn(
              { error: errorText(error) },
              "the hold store did not take a commit; it will be repeated",
            );
          failing = true;
        },
      );
      // While it fails nobody waits for it: the ledger has decided, the mirror only follows.
      if (failing) return;
      await withPatience(telling, patienceMs);
    },
    async drain() {
      const dueMirrors = await sql.query<{ sku: string }>(
        "SELECT sku FROM inventory.mirror_due WHERE due_at < now() - INTERVAL '1 second' ORDER BY due_at LIMIT $1",
        [DRAIN_LIMIT],
      );
      const dueDrops = await sql.query<{ hold_id: string }>(
        "SELECT hold_id FROM inventory.drop_due WHERE due_at < now() - INTERVAL '1 second' ORDER BY due_at LIMIT $1",
        [DRAIN_LIMIT],
      );
      overdue.set({}, dueMirrors.length + dueDrops.length);
      if (dueMirrors.length + dueDrops.length === 0) return 0;
      await settle(
        dueDrops.map((row) => row.hold_id),
        await readMirror(
          sql,
          dueMirrors.map((row) => row.sku),
        ),
      );
      return dueMirrors.length + dueDrops.length;
    },
    takeSettled() {
      if (settledMirrors.length + settledHolds.length === 0) return undefined;
      const taken = { mirrors: settledMirrors, holdIds: settledHolds };
      settledMirrors = [];
      settledHolds = [];
      return taken;
    },
  };
}

async function withPatience(work: Promise<void>, patienceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tired = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  await Promise.race([work, tired]);
  clearTimeout(timer);
}
