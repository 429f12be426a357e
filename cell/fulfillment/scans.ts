import type { ServiceClient } from "../../platform/fetch.ts";
import { type Failure, fail, type ProblemCode } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { fulfillmentShort } from "./contract.ts";
import { openUnits, type PickLine, resolveLines } from "./domain.ts";
import { saveResolved, say } from "./resolving.ts";
import {
  applyScan,
  dropScan,
  findScan,
  interruptedScans,
  noteScan,
  pendingScans,
  postponeScan,
  type Scan,
} from "./scanstore.ts";
import { findPickList, lockPickList, type PickList, savePickList } from "./store.ts";

export type Done = { readonly ok: true } | Failure;

/** Turns what a picker scans into stock and lines, once each. */
export interface Scans {
  /**
   * Notes the scan, changes the stock under the scan's own id, counts it on its line: killed anywhere, a repetition or the worker
   * completes it. `check` sees the line before anything is written.
   */
  take(scan: Scan, check: (list: PickList, line: PickLine) => Failure | undefined): Promise<Done>;
  /** Completes what is under way on a list. */
  settle(pickListId: string): Promise<Done>;
  /** Completes scans whose device never came back; answers how many it met. */
  settleInterrupted(): Promise<number>;
}

/** Answers of inventory that say for good that nothing was changed. */
const FINAL: ReadonlySet<ProblemCode> = new Set(["unprocessable", "conflict", "not-found"]);
const INTERRUPTED_AFTER_SECONDS = 15;
const SETTLE_SCANS = 20;

export function createScans(deps: { sql: Sql; inventory: ServiceClient }): Scans {
  const { sql, inventory } = deps;

  async function complete(scan: Scan): Promise<Done> {
    const list = await findPickList(sql, scan.pickListId);
    const line = list?.lines.find(({ id }) => id === scan.lineId);
    if (!list || !line) throw new Error(`scan ${scan.pickListId} ${scan.eventId} has lost its line`);
    const told = await tellInventory(inventory, scan, list.holdId, line);
    if (told.ok) {
      await sql.transaction((tx) => count(tx, scan));
      return told;
    }
    // Anything but a refusal may have happened, and is asked again under the same id.
    if (FINAL.has(told.code)) await sql.transaction((tx) => dropScan(tx, scan));
    return told;
  }

  async function settle(pickListId: string): Promise<Done> {
    for (const scan of await pendingScans(sql, pickListId)) {
      const done = await complete(scan);
      if (!done.ok && !FINAL.has(done.code)) return done;
    }
    return { ok: true };
  }

  return {
    async take(scan, check) {
      const noted = await sql.transaction((tx) => note(tx, scan, check));
      if (!noted.ok || noted.applied) return noted;
      return complete(scan);
    },
    settle,
    async settleInterrupted() {
      const found = await interruptedScans(sql, INTERRUPTED_AFTER_SECONDS, SETTLE_SCANS);
      for (const scan of found) {
        const done = await complete(scan);
        if (!done.ok) await sql.transaction((tx) => postponeScan(tx, scan));
      }
      return found.length;
    },
  };
}

async function note(
  tx: Tx,
  scan: Scan,
  check: (list: PickList, line: PickLine) => Failure | undefined,
): Promise<{ ok: true; applied: boolean } | Failure> {
  // One round trip: the list is locked before the others are read.
  const [list, before, underWay] = await Promise.all([
    lockPickList(tx, scan.pickListId),
    findScan(tx, scan.pickListId, scan.eventId),
    pendingScans(tx, scan.pickListId),
  ]);
  if (!list) return fail("not-found", "There is no such pick list.");
  const line = list.lines.find(({ id }) => id === scan.lineId);
  if (!line) return fail("unprocessable", "This pick list has no such line.");
  if (before) {
    const same =
      before.lineId === scan.lineId && before.kind === scan.kind && before.quantity === scan.quantity;
    if (same) return { ok: true, applied: before.applied };
    return fail("idempotency-key-reused", "This eventId belongs to another scan; give each scan its own.");
  }
  if (list.state !== "picking")
    return fail("conflict", `This pick list is ${list.state}.`, { state: list.state });
  const refused = check(list, line);
  if (refused) return refused;
  const ofLine = underWay.filter(({ lineId }) => lineId === line.id);
  const pending = ofLine.reduce((sum, { quantity }) => sum + quantity, 0);
  const left = (scan.kind === "recount" ? line.picked : openUnits(line)) - pending;
  if (scan.quantity > left)
    return fail("unprocessable", `Only ${left} units are left to resolve on this line.`, { left });
  await noteScan(tx, scan);
  return { ok: true, applied: false };
}

async function tellInventory(
  inventory: ServiceClient,
  scan: Scan,
  holdId: string,
  { sku, bin }: PickLine,
): Promise<Done> {
  const { kind, quantity, actor } = scan;
  const id = `${scan.pickListId}:${scan.eventId}`;
  const unit = { sku, bin, quantity };
  const [path, body] =
    kind === "pick"
      ? ["/internal/picks", { pickId: id, holdId, ...unit, actor: { kind: "human", id: actor } }]
      : kind === "short"
        ? ["/internal/shorts", { shortId: id, holdId, ...unit }]
        : ["/internal/putbacks", { putbackId: id, holdId, lines: [unit] }];
  return inventory.call({ method: "POST", path: path as string, idempotencyKey: id, body });
}

/** Counts a scan whose effect on stock is certain, and says what follows from it. */
async function count(tx: Tx, scan: Scan): Promise<void> {
  const list = await lockPickList(tx, scan.pickListId);
  if (!list || !(await applyScan(tx, scan))) return;
  const lines = resolveLines(list.lines, scan);
  let { version } = list;
  if (scan.kind !== "pick") {
    const sku = lines.find(({ id }) => id === scan.lineId)?.sku ?? "";
    await say(tx, list, ++version, fulfillmentShort.type, { lines: [{ sku, quantity: scan.quantity }] });
  }
  // A recount comes when all is resolved already: the picker packs next.
  if (scan.kind === "recount") await savePickList(tx, list.id, { state: list.state, version });
  else await saveResolved(tx, list, lines, version);
}
