import { randomUUID } from "node:crypto";
import type { Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { RedisAway } from "../../platform/redis.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Worker } from "../../platform/workers.ts";
import type { HoldStore } from "./holds.ts";
import { type Mirror, readMirrorPage } from "./mirror.ts";
import { linesOf, type MovedHold, type Rebuilder } from "./rebuild.ts";
import { reconcilePage } from "./reconcile.ts";
import { createSaturation } from "./saturation.ts";
import type { Trail } from "./trail.ts";
import { createUpkeep } from "./upkeep.ts";
import type { Writer } from "./writer.ts";

export interface WorkerDeps {
  readonly sql: Sql;
  readonly holds: HoldStore;
  readonly mirror: Mirror;
  readonly rebuilder: Rebuilder;
  readonly writer: Writer;
  readonly trail: Trail;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random?: () => number;
}

const SWEEP_BITE = 100;
const MAX_BITES = 200;
const RECONCILE_PAGE = 100;
const FORGET_PIECE = 200;
const PRUNE_LIMIT = 1_000;
const COMMAND_RETENTION_DAYS = 30;

/** The background work of the slice; every replica runs all of it, and all of it is harmless to run twice. */
export function createWorkers(deps: WorkerDeps): Worker[] {
  return [
    { name: "inventory-watch", intervalMs: 1_000, run: () => watch(deps) },
    { name: "inventory-mirror", intervalMs: 500, run: () => settleNotes(deps) },
    { name: "inventory-sweep", intervalMs: 1_000, run: (signal) => sweep(deps, signal) },
    { name: "inventory-expire", intervalMs: 5_000, run: () => expireSqlHolds(deps) },
    { name: "inventory-reconcile", intervalMs: 5_000, run: reconciler(deps) },
    ...createUpkeep(deps),
    createSaturation(deps),
    deps.trail.worker,
    { name: "inventory-prune", intervalMs: 60_000, run: () => prune(deps.sql) },
  ];
}

/** Notices a lost hold store, and brings holds that were taken in SQL meanwhile over to it. */
async function watch({ rebuilder, writer }: WorkerDeps): Promise<void> {
  const result = await rebuilder.check().catch((error: unknown) => {
    // Away is a state, not a failure of this worker: it looks again in a second, without backing off.
    if (error instanceof RedisAway) return "away" as const;
    throw error;
  });
  if (result !== "sound" && result !== "rebuilt") return;
  await forgetHolds(writer, await rebuilder.moveHolds());
}

/** Lets go of rows of holds in SQL, when it is time for that, in pieces that leave room for other commands between them. */
async function forgetHolds(writer: Writer, gone: readonly MovedHold[]): Promise<void> {
  for (let at = 0; at < gone.length; at += FORGET_PIECE) {
    const movedHolds = gone.slice(at, at + FORGET_PIECE);
    await writer.submit({ kind: "settled", id: randomUUID(), mirrors: [], holdIds: [], movedHolds });
  }
}

/** Holds in SQL end by their time, too, however long the hold store stays away. */
async function expireSqlHolds({ sql, writer, trail }: WorkerDeps): Promise<void> {
  const rows = await sql.query<{ hold_id: string; call_key: string; moved: boolean; expires_at: Date }>(
    `SELECT hold_id, call_key, moved_at IS NOT NULL AS moved, expires_at FROM inventory.hold
     WHERE expires_at < now() ORDER BY expires_at LIMIT $1`,
    [PRUNE_LIMIT],
  );
  if (rows.length === 0) return;
  const lines = await linesOf(
    sql,
    rows.map((row) => row.hold_id),
  );
  await forgetHolds(
    writer,
    rows.map((row) => ({ holdId: row.hold_id, callKey: row.call_key })),
  );
  // The end of one that has moved is told by the hold store.
  for (const { hold_id: id, moved, expires_at: at } of rows)
    if (!moved) trail.expired(id, lines.get(id) ?? [], `${id} ${at.toISOString()}`);
}

/** The one drainer of notes: repeats what is overdue, then deletes what the hold store has taken. */
async function settleNotes({ mirror, writer }: WorkerDeps): Promise<void> {
  await mirror.drain();
  const settled = mirror.takeSettled();
  if (settled) await writer.submit({ kind: "settled", id: randomUUID(), ...settled, movedHolds: [] });
}

/** Gives expired holds back, in bites that never block the store for long. */
async function sweep({ holds, metrics }: WorkerDeps, signal: AbortSignal): Promise<void> {
  const swept = metrics.counter("inventory_holds_expired_total", "Holds that ended by their time.");
  for (let bite = 0; bite < MAX_BITES && !signal.aborted; bite++) {
    const count = await holds.sweep(SWEEP_BITE);
    if (count) swept.inc({}, count);
    if ((count ?? 0) < SWEEP_BITE) return;
  }
}

/** Walks through all SKUs: compares balances with the ledger, and the mirror with the balances. */
function reconciler({ sql, holds, log, metrics }: WorkerDeps): Worker["run"] {
  const drifted = metrics.gauge(
    "inventory_drifted_bins",
    "Bins whose balance differs from the ledger, in the last full walk.",
  );
  const walked = metrics.counter("inventory_reconciled_skus_total", "SKUs compared with the ledger.");
  let after = "";
  let found = 0;
  return async () => {
    const { checked, drifts, next } = await reconcilePage(sql, after, RECONCILE_PAGE);
    walked.inc({}, checked);
    found += drifts.length;
    for (const { sku, bin_id: bin, on_hand: onHand, allocated, damaged, open } of drifts.slice(0, 10)) {
      log.error({ sku, bin, onHand, allocated, damaged, open }, "a balance differs from the ledger");
    }
    const page = await readMirrorPage(sql, after, RECONCILE_PAGE);
    if (page.length > 0) await holds.settle([], page);
    after = next;
    if (next !== "") return;
    drifted.set({}, found);
    found = 0;
  };
}

/** Answers are kept for repetitions that come late, not for ever; the ledger itself is never pruned. */
async function prune(sql: Sql): Promise<void> {
  await sql.query(
    `DELETE FROM inventory.hold_event WHERE event_id IN (
       SELECT event_id FROM inventory.hold_event
       WHERE created_at < now() - INTERVAL '${COMMAND_RETENTION_DAYS} days' ORDER BY created_at LIMIT ${PRUNE_LIMIT})`,
  );
  await sql.query(
    `DELETE FROM inventory.command WHERE command_id IN (
       SELECT command_id FROM inventory.command
       WHERE created_at < now() - INTERVAL '${COMMAND_RETENTION_DAYS} days' ORDER BY created_at LIMIT ${PRUNE_LIMIT})`,
  );
}
