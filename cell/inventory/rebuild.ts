import { randomUUID } from "node:crypto";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Demand } from "./domain.ts";
import type { HoldStore } from "./holds.ts";
import { readMirrorPage } from "./mirror.ts";

/** What a look at the hold store came to. */
export type RebuildResult = "sound" | "rebuilt" | "busy" | "fenced" | "lost";

export interface Rebuilder {
  /** Rebuilds the hold store from the ledger when it was lost, restarted, or left by an older epoch. */
  check(): Promise<RebuildResult>;
  /** Somebody could not reach the hold store: it may come back without its last second, so the next step is a check. */
  doubt(): void;
  /** False from a doubt until a check that found or made the store sound. */
  trusted(): boolean;
  /** Brings holds that were granted in SQL over to the hold store; those that SQL may let go after a while, expired ones included. */
  moveHolds(): Promise<MovedHold[]>;
}

/** A row of `inventory.hold` as it was when it was moved. */
export interface MovedHold {
  readonly holdId: string;
  readonly callKey: string;
}

export interface RebuildOptions {
  readonly sql: Sql;
  readonly holds: HoldStore;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Renewed by each step; the rebuild of a process that died holds up others for so long. */
const LOCK_MS = 5_000;
const PAGE = 500;
const HOLDS_PAGE = 200;
/** A hold store whose list of holds never ends is broken; a rebuild gives up there. */
const MAX_PAGES = 20_000;

interface HoldRow {
  readonly hold_id: string;
  readonly order_id: string;
  readonly owner: string;
  readonly call_key: string;
  readonly remaining_ms: number;
  readonly extended: boolean;
}

/** Makes the part that notices a lost hold store. */
export function createRebuilder(options: RebuildOptions): Rebuilder {
  const { sql, holds, log, metrics } = options;
  const rebuilds = metrics.counter("inventory_hold_store_rebuilds_total", "Rebuilds of the hold store.", [
    "result",
  ]);
  const openHolds = metrics.gauge("inventory_open_holds", "Holds in the hold store, expired ones included.");

  const owner = randomUUID();
  let trusted = true;
  let doubts = 0;
  let checking: Promise<RebuildResult> | undefined;

  async function rebuild(why: string, seen: string | undefined, runId: string): Promise<RebuildResult> {
    const token = randomUUID();
    // An empty transaction checks the epoch: only a copy of the cell that may write may rebuild.
    await sql.transaction(async (tx) => tx.query("SELECT 1"));
    const began = await holds.begin({ owner, token, lockMs: LOCK_MS, runId, seen });
    if (began === "done") return "sound";
    if (began !== "ok") return began;
    const startedAtMs = performance.now();
    log.info({ why }, "the hold store is rebuilt from the ledger");
    let cursor: number | undefined = 0;
    for (let page = 0; cursor !== -1; page++) {
      cursor = page < MAX_PAGES ? await holds.recount(token, LOCK_MS, cursor, HOLDS_PAGE) : undefined;
      if (cursor === undefined) return "lost";
    }
    // A page that is behind the cursor is not counted again: asking for it only keeps the lock.
    await mirrorAll(sql, holds, () => holds.recount(token, LOCK_MS, 0, HOLDS_PAGE));
    await moveHolds(token);
    const done = await holds.finish(token, randomUUID(), runId);
    log.info(
      { done, tookMs: Math.round(performance.now() - startedAtMs) },
      "the rebuild of the hold store has ended",
    );
    return done ? "rebuilt" : "lost";
  }

  async function moveHolds(token?: string): Promise<MovedHold[]> {
    const moved: MovedHold[] = [];
    let after = "";
    for (let page = 0; page < MAX_PAGES; page++) {
      const rows = await readHolds(sql, after);
      const lines = await linesOf(
        sql,
        rows.map((row) => row.hold_id),
      );
      const taken = await Promise.all(rows.map((row) => moveHold(row, lines.get(row.hold_id) ?? [], token)));
      moved.push(
        ...rows
          .filter((_, index) => taken[index])
          .map((row) => ({ holdId: row.hold_id, callKey: row.call_key })),
      );
      if (token !== undefined) await holds.recount(token, LOCK_MS, 0, HOLDS_PAGE);
      const last = rows.at(-1);
      if (!last || rows.length < HOLDS_PAGE) break;
      after = last.hold_id;
    }
    return moved;
  }

  /** True when the row may go: the hold store has the hold, or its time is over. */
  async function moveHold(
    row: HoldRow,
    lines: readonly Demand[],
    token: string | undefined,
  ): Promise<boolean> {
    if (row.remaining_ms <= 0) return true;
    const { hold_id: holdId, order_id: orderId, owner, call_key: callKey, remaining_ms: remainingMs } = row;
    const { extended } = row;
    const hold = { holdId, orderId, owner, callKey, remainingMs, extended, lines };
    return await holds.import(token === undefined ? hold : { ...hold, token });
  }

  return {
    moveHolds: () => moveHolds(),
    doubt() {
      trusted = false;
      doubts++;
    },
    trusted: () => trusted,
    check() {
      // One attempt of this process at a time: the next one takes over what the last one has left.
      checking ??= judged().finally(() => {
        checking = undefined;
      });
      return checking;
    },
  };

  async function judged(): Promise<RebuildResult> {
    const before = doubts;
    try {
      const result = await checkOnce();
      // A doubt that came meanwhile may be about a server that this look has not seen.
      if ((result === "sound" || result === "rebuilt") && doubts === before) trusted = true;
      return result;
    } catch (error) {
      trusted = false;
      throw error;
    }
  }

  async function checkOnce(): Promise<RebuildResult> {
    const status = await holds.status();
    openHolds.set({}, status.openHolds);
    const runId = await holds.runId();
    let why: string | undefined;
    if (status.generation === undefined) why = "no generation";
    else if (status.runId !== runId) why = "the server was restarted";
    if (why === undefined) return "sound";
    try {
      const result = await rebuild(why, status.generation, runId);
      rebuilds.inc({ result });
      return result;
    } catch (error) {
      rebuilds.inc({ result: "failed" });
      log.warn({ error: errorText(error) }, "the hold store could not be rebuilt; it is tried again");
      throw error;
    }
  }
}

/** Writes all SKUs to the mirror, page by page; each only where it is newer than what is there. */
export async function mirrorAll(
  sql: Sql,
  holds: HoldStore,
  eachPage: () => Promise<unknown>,
): Promise<number> {
  let after = "";
  let count = 0;
  for (;;) {
    const page = await readMirrorPage(sql, after, PAGE);
    if (page.length > 0) await holds.settle([], page);
    count += page.length;
    await eachPage();
    const last = page.at(-1);
    if (!last || page.length < PAGE) return count;
    after = last.sku;
  }
}

async function readHolds(sql: Sql, after: string): Promise<HoldRow[]> {
  return await sql.query<HoldRow>(
    `SELECT hold_id, order_id, owner, call_key,
       (extract(epoch FROM expires_at - now()) * 1000)::INT8 AS remaining_ms, extended
     FROM inventory.hold WHERE hold_id > $1 ORDER BY hold_id LIMIT $2`,
    [after, HOLDS_PAGE],
  );
}

/** The lines of holds in SQL, by hold. */
export async function linesOf(sql: Sql, holdIds: readonly string[]): Promise<Map<string, Demand[]>> {
  const rows = await sql.query<{ hold_id: string; sku: string; quantity: number }>(
    "SELECT hold_id, sku, quantity FROM inventory.hold_line WHERE hold_id = ANY($1::TEXT[])",
    [holdIds],
  );
  const lines = new Map<string, Demand[]>();
  for (const { hold_id, sku, quantity } of rows) {
    const list = lines.get(hold_id) ?? [];
    list.push({ sku, quantity });
    lines.set(hold_id, list);
  }
  return lines;
}
