import type { Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Worker } from "../../platform/workers.ts";
import { markChecked, readAccuracy, readUnchecked } from "./countstore.ts";
import type { HoldStore } from "./holds.ts";
import { type Finding, reconcileAll, reconcileSkus } from "./reconciler.ts";

export interface UpkeepDeps {
  readonly sql: Sql;
  readonly holds: HoldStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Between 0 and 1; spreads the runs of many cells. */
  readonly random?: (() => number) | undefined;
}

/** A whole reconciliation begins this long after the last one, and up to as long again later. */
const RECONCILE_AFTER_HOURS = 4;
/** What a run that died holds up the next one. */
const CLAIM_MINUTES = 15;
/** More SKUs than these are not repaired without being asked to: what is wrong everywhere has one cause. */
const MAX_REPAIRS = 100;
const SHORTS_AT_ONCE = 50;

/** Compares the books with each other: all of them every 4 to 8 hours, those of a short pick at once. What differs is repaired. */
export function createUpkeep(deps: UpkeepDeps): Worker[] {
  const { metrics } = deps;
  const runs = metrics.counter("inventory_reconciliations_total", "Comparisons of the books.", ["reason"]);
  const drifts = metrics.counter("inventory_drifts_total", "Differences between the books.", [
    "fact",
    "outcome",
  ]);
  const accuracy = metrics.gauge(
    "inventory_accuracy_ratio",
    "Bins that were as the books said, of all that were counted or found short in 7 days.",
  );
  const due = metrics.gauge("inventory_counts_due", "Bins that wait to be counted.");

  async function note(
    reason: "schedule" | "short",
    skus: number,
    findings: readonly Finding[],
  ): Promise<void> {
    runs.inc({ reason });
    const repaired = findings.filter((one) => one.repaired).length;
    for (const { fact, repaired: done } of findings)
      drifts.inc({ fact, outcome: done ? "repaired" : "left" });
    for (const finding of findings.slice(0, 10))
      deps.log.error({ ...finding }, "two books of the stock differ");
    if (reason === "short" && findings.length === 0) return;
    await deps.sql.transaction((tx) =>
      tx.query(
        "INSERT INTO inventory.reconcile_run (reason, skus, drifts, repaired) VALUES ($1, $2, $3, $4)",
        [reason, skus, findings.length, repaired],
      ),
    );
  }

  return [
    {
      name: "inventory-upkeep",
      intervalMs: 5_000,
      async run(signal) {
        if (!(await claim(deps.sql))) return;
        const { skus, findings } = await reconcileAll(deps, {
          repair: true,
          maxRepairs: MAX_REPAIRS,
          signal,
        });
        if (signal.aborted) return;
        await note("schedule", skus, findings);
        const hours = RECONCILE_AFTER_HOURS * (1 + (deps.random ?? Math.random)());
        await putOff(deps.sql, Math.round(hours * 3_600));
      },
    },
    {
      name: "inventory-shorts",
      intervalMs: 2_000,
      async run() {
        const unchecked = await readUnchecked(deps.sql, SHORTS_AT_ONCE);
        if (unchecked.length === 0) return;
        const skus = unchecked.map((row) => row.sku);
        await note("short", skus.length, await reconcileSkus(deps, skus, { repair: true }));
        await markChecked(deps.sql, unchecked);
      },
    },
    {
      name: "inventory-accuracy",
      intervalMs: 15_000,
      async run() {
        const found = await readAccuracy(deps.sql);
        due.set({}, found.due);
        if (found.judged > 0) accuracy.set({}, found.matched / found.judged);
      },
    },
  ];
}

/** True for the one replica whose turn it is. */
async function claim(sql: Sql): Promise<boolean> {
  const due = await sql.query("SELECT id FROM inventory.reconcile_due WHERE id = 1 AND due_at <= now()");
  if (due.length === 0) return false;
  const claimed = await sql.transaction((tx) =>
    tx.query(
      `UPDATE inventory.reconcile_due SET due_at = now() + INTERVAL '${CLAIM_MINUTES} minutes'
       WHERE id = 1 AND due_at <= now() RETURNING id`,
    ),
  );
  return claimed.length > 0;
}

async function putOff(sql: Sql, seconds: number): Promise<void> {
  await sql.transaction((tx) =>
    tx.query(
      "UPDATE inventory.reconcile_due SET due_at = now() + $1::INT8 * INTERVAL '1 second' WHERE id = 1",
      [seconds],
    ),
  );
}
