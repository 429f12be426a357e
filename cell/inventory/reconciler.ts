import type { Sql } from "../../platform/sql.ts";
import type { HoldStore } from "./holds.ts";
import { readMirror } from "./mirror.ts";
import { type Drift, findDrift, raiseVersions, repairDrift } from "./reconcile.ts";

/** Where the books differ: balances from the ledger, `booked` (movements of allocated units) from open allocations, the hold store from both. */
export type Fact = "on hand" | "allocated" | "damaged" | "booked" | "sellable" | "held";

/** One difference between two books; `bin` is undefined where the fact is of the whole SKU. */
export interface Finding {
  readonly sku: string;
  readonly bin: string | undefined;
  readonly fact: Fact;
  readonly is: number;
  readonly shouldBe: number;
  readonly repaired: boolean;
}

export interface ReconcileDeps {
  readonly sql: Sql;
  readonly holds: HoldStore;
}

export interface ReconcileOptions {
  readonly repair: boolean;
  /** SKUs that may be repaired; what is wrong everywhere has a cause that somebody should look at first. */
  readonly maxRepairs?: number;
}

const PAGE = 100;
/** Above that, summing up the holds would block the store for more than some milliseconds. */
const MAX_AUDITED_HOLDS = 10_000;

/** Compares balances with movements and open allocations, and the hold store's mirror with the balances, for some SKUs. */
export async function reconcileSkus(
  deps: ReconcileDeps,
  skus: readonly string[],
  { repair, maxRepairs = Number.POSITIVE_INFINITY }: ReconcileOptions,
): Promise<Finding[]> {
  const drifts = await findDrift(deps.sql, skus);
  const drifted = [...new Set(drifts.map((drift) => drift.sku))].slice(0, maxRepairs);
  const repaired = repair && drifted.length > 0 ? await repairDrift(deps.sql, drifted) : [];
  const done = new Set(repaired.map((drift) => `${drift.sku} ${drift.bin_id}`));
  const findings = drifts.flatMap((drift) => findingsOf(drift, done.has(`${drift.sku} ${drift.bin_id}`)));
  // A balance that is wrong is no measure for the mirror.
  const wrong = new Set(findings.filter((finding) => !finding.repaired).map((finding) => finding.sku));
  const sound = skus.filter((sku) => !wrong.has(sku));
  return [...findings, ...(await compareMirror(deps, sound, { repair, maxRepairs }))];
}

function findingsOf(drift: Drift, repaired: boolean): Finding[] {
  const { sku, bin_id: bin } = drift;
  const facts: [Fact, number, number][] = [
    ["on hand", drift.is_on_hand, drift.on_hand],
    ["allocated", drift.is_allocated, drift.open],
    ["damaged", drift.is_damaged, drift.damaged],
    ["booked", drift.is_allocated + drift.allocated, drift.open - drift.allocated],
  ];
  return facts
    .filter(([, , delta]) => delta !== 0)
    .map(([fact, is, delta]) => ({ sku, bin, fact, is, shouldBe: is + delta, repaired }));
}

/** A mirror that is behind is only told what is newer; one that says something else of the same version has drifted. */
async function compareMirror(
  { sql, holds }: ReconcileDeps,
  skus: readonly string[],
  { repair, maxRepairs = Number.POSITIVE_INFINITY }: ReconcileOptions,
): Promise<Finding[]> {
  const before = await holds.mirrored(skus).catch(() => undefined);
  if (!before) return [];
  const values = await readMirror(sql, skus);
  const drifted = values.flatMap(({ sku, version, sellable }) => {
    const found = before.get(sku);
    // What was read first cannot be newer than what was read after it, unless it is wrong.
    const isWrong =
      found && (found.version > version || (found.version === version && found.sellable !== sellable));
    return isWrong ? [{ sku, is: found.sellable, shouldBe: sellable }] : [];
  });
  const chosen = repair ? drifted.slice(0, maxRepairs).map((row) => row.sku) : [];
  if (chosen.length > 0) await raiseVersions(sql, chosen);
  const told = repair ? await readMirror(sql, skus) : [];
  if (told.length > 0) await holds.settle([], told).catch(() => undefined);
  const after = repair ? await holds.mirrored(chosen).catch(() => undefined) : undefined;
  return drifted.map((row) => ({
    ...row,
    bin: undefined,
    fact: "sellable" as const,
    repaired:
      after?.get(row.sku)?.sellable === told.find((value) => value.sku === row.sku)?.sellable && !!after,
  }));
}

/** Compares what the hold store counts as held with the sum of its open holds; undefined when it cannot be asked. */
export async function reconcileHolds(
  { holds }: ReconcileDeps,
  { repair }: ReconcileOptions,
): Promise<Finding[] | undefined> {
  const drifts = await holds.audit(repair, MAX_AUDITED_HOLDS).catch(() => undefined);
  return drifts?.map(({ sku, counted, summed }) => ({
    ...{ sku, bin: undefined, fact: "held" as const, is: counted, shouldBe: summed, repaired: repair },
  }));
}

export interface Reconciliation {
  readonly skus: number;
  readonly findings: readonly Finding[];
  /** False when the holds could not be summed up: the store is away, or holds very many. */
  readonly holdsCompared: boolean;
}

/** Differences that one run remembers. */
const MAX_FINDINGS = 1_000;

/** Walks through all SKUs from the first day of the ledger on; `only` names some instead. Ends early when told to stop. */
export async function reconcileAll(
  deps: ReconcileDeps,
  options: ReconcileOptions & { only?: readonly string[] | undefined; signal?: AbortSignal },
): Promise<Reconciliation> {
  const findings: Finding[] = [];
  let left = options.maxRepairs ?? Number.POSITIVE_INFINITY;
  let skus = 0;
  for await (const page of pagesOf(deps.sql, options.only)) {
    if (options.signal?.aborted) break;
    const found = await reconcileSkus(deps, page, { repair: options.repair, maxRepairs: Math.max(0, left) });
    left -= new Set(found.filter((one) => one.repaired).map((one) => one.sku)).size;
    skus += page.length;
    if (findings.length < MAX_FINDINGS) findings.push(...found);
  }
  const held = await reconcileHolds(deps, options);
  const asked = held?.filter(({ sku }) => !options.only || options.only.includes(sku)) ?? [];
  return { skus, findings: [...findings, ...asked], holdsCompared: held !== undefined };
}

async function* pagesOf(sql: Sql, only: readonly string[] | undefined): AsyncGenerator<string[]> {
  for (let at = 0; only && at < only.length; at += PAGE) yield only.slice(at, at + PAGE);
  let after = "";
  while (!only) {
    const rows = await sql.query<{ sku: string }>(
      "SELECT sku FROM inventory.sku WHERE sku > $1 ORDER BY sku LIMIT $2",
      [after, PAGE],
    );
    const last = rows.at(-1);
    if (!last) return;
    yield rows.map((row) => row.sku);
    after = last.sku;
  }
}
