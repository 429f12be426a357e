import type { ServiceClient } from "../../platform/fetch.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import {
  fulfillmentPacked,
  fulfillmentPickingStarted,
  fulfillmentPutbackDone,
  type RecountBody,
  type ScanBody,
  type ShortBody,
} from "./contract.ts";
import {
  allResolved,
  contentWeightGrams,
  nextPickListState,
  type PickLine,
  type PickListEvent,
  unitsBySku,
  weightFits,
} from "./domain.ts";
import { say } from "./resolving.ts";
import type { Done, Scans } from "./scans.ts";
import { pendingScans } from "./scanstore.ts";
import { findPickList, isLabelTaken, lockPickList, type PickList, savePickList } from "./store.ts";

type Outcome = { readonly ok: true; readonly list: PickList } | Failure;

/** What pickers do. Each call may be repeated: what has happened already is answered like the first time. */
export interface FulfillmentService {
  start(id: string, tote: string): Promise<Outcome>;
  scan(id: string, body: ScanBody, picker: string): Promise<Outcome>;
  short(id: string, body: ShortBody, picker: string): Promise<Outcome>;
  recount(id: string, body: RecountBody, picker: string): Promise<Outcome>;
  pack(id: string, weightGrams: number, packageBarcode: string | undefined): Promise<Outcome>;
  putBack(id: string): Promise<Outcome>;
}

const NO_LIST = fail("not-found", "There is no such pick list.");
const UNDER_WAY = fail("too-early", "A scan of this list is still under way; try again in a moment.");

/** What a move changes beside the state; or why not, with the move that is made instead. */
type Effect =
  | { readonly tote?: string; readonly packageBarcode?: string; readonly refused?: undefined }
  | { readonly refused: Failure; readonly instead?: PickListEvent };

interface Move {
  readonly event: PickListEvent;
  /** Whether the list is already where this move leads. */
  isDone(list: PickList): boolean;
  /** What else belongs to the move. */
  effect(tx: Tx, list: PickList, version: number): Promise<Effect>;
}

/** The work of pickers. Stock is changed before a scan is acknowledged, under the scan's own id. */
export function createFulfillmentService(deps: {
  sql: Sql;
  inventory: ServiceClient;
  scans: Scans;
}): FulfillmentService {
  const { sql, inventory, scans } = deps;

  async function reread(id: string, done: Done): Promise<Outcome> {
    if (!done.ok) return done;
    const list = await findPickList(sql, id);
    return list ? { ok: true, list } : NO_LIST;
  }

  async function move(id: string, { event, isDone, effect }: Move): Promise<Outcome> {
    const moved = await sql.transaction(async (tx): Promise<Done> => {
      const list = await lockPickList(tx, id);
      if (!list) return NO_LIST;
      if (isDone(list)) return { ok: true };
      const state = nextPickListState(list.state, event);
      if (state === undefined) return wrongState(list);
      const version = list.version + 1;
      const change = await effect(tx, list, version);
      if (change.refused === undefined) {
        await savePickList(tx, id, { state, version, ...change });
        return { ok: true };
      }
      const instead = change.instead && nextPickListState(list.state, change.instead);
      if (instead !== undefined) await savePickList(tx, id, { state: instead, version });
      return change.refused;
    });
    return reread(id, moved);
  }

  return {
    start: (id, tote) =>
      move(id, {
        event: "start",
        isDone: (list) => list.state === "picking" && list.tote === tote,
        async effect(tx, list, version) {
          await say(tx, list, version, fulfillmentPickingStarted.type);
          return { tote };
        },
      }),
    async scan(id, { eventId, lineId, quantity, bin, barcode }, picker) {
      const scan = { eventId, pickListId: id, lineId, kind: "pick" as const, quantity, actor: picker };
      return reread(id, await scans.take(scan, (_list, line) => wrongScan(line, bin, barcode)));
    },
    async short(id, { eventId, lineId, quantity }, picker) {
      const scan = { eventId, pickListId: id, lineId, kind: "short" as const, quantity, actor: picker };
      return reread(id, await scans.take(scan, () => undefined));
    },
    recount: (id, body, picker) => recount(id, body, picker),
    async pack(id, weightGrams, packageBarcode) {
      const settled = await scans.settle(id);
      if (!settled.ok) return settled;
      return move(id, {
        event: "pack",
        isDone: ({ state, packageBarcode: label }) =>
          state === "packed" && (packageBarcode === undefined || packageBarcode === label),
        effect: (tx, list, version) => close(tx, list, version, { weightGrams, packageBarcode }),
      });
    },
    async putBack(id) {
      const settled = await scans.settle(id);
      const list = settled.ok ? await findPickList(sql, id) : undefined;
      if (!settled.ok) return settled;
      if (!list) return NO_LIST;
      if (list.state === "cancelled" && list.tote !== undefined) return { ok: true, list };
      if (list.state !== "cancelling") return wrongState(list);
      const stock = await returnStock(inventory, list);
      if (!stock.ok) return stock;
      return move(id, {
        event: "putback",
        isDone: ({ state }) => state === "cancelled",
        async effect(tx, current, version) {
          if ((await pendingScans(tx, id)).length > 0) return { refused: UNDER_WAY };
          await say(tx, current, version, fulfillmentPutbackDone.type);
          return {};
        },
      });
    },
  };

  async function recount(id: string, body: RecountBody, picker: string): Promise<Outcome> {
    const list = await findPickList(sql, id);
    if (!list) return NO_LIST;
    const line = list.lines.find((candidate) => candidate.id === body.lineId);
    if (!line) return fail("unprocessable", "This pick list has no such line.");
    const missing = line.picked - body.quantity;
    const before = { eventId: body.eventId, pickListId: id, lineId: line.id, actor: picker };
    if (missing < 0)
      return fail("unprocessable", `Put ${-missing} units back into their bin: ${line.picked} were scanned.`);
    if (missing === 0) return list.state === "picking" ? { ok: true, list } : wrongState(list);
    const scan = { ...before, kind: "recount" as const, quantity: missing };
    return reread(
      id,
      await scans.take(scan, (current) => {
        if (!allResolved(current.lines))
          return fail("conflict", "There are still lines to pick; a recount comes after a wrong weight.");
        const others = current.lines.reduce((sum, { picked }) => sum + picked, 0) - missing;
        if (others > 0) return undefined;
        return fail("unprocessable", "Nothing would be left to pack; have the order cancelled instead.");
      }),
    );
  }
}

function wrongState(list: PickList): Failure {
  return fail("conflict", `This pick list is ${list.state}.`, { state: list.state });
}

function wrongScan(line: PickLine, bin: PickLine["bin"], barcode: string): Failure | undefined {
  const { aisle, position, level } = line.bin;
  if (bin.aisle !== aisle || bin.position !== position || bin.level !== level)
    return fail("unprocessable", `Wrong bin: go to aisle ${aisle}, position ${position}, level ${level}.`);
  if (barcode !== line.barcode)
    return fail("unprocessable", "Wrong article: this is not what the line asks for.");
  return undefined;
}

/** Closes and weighs the package. */
async function close(
  tx: Tx,
  list: PickList,
  version: number,
  { weightGrams, packageBarcode }: { weightGrams: number; packageBarcode: string | undefined },
): Promise<Effect> {
  if (!allResolved(list.lines))
    return {
      refused: fail("conflict", "There are still lines to pick on this list.", { state: list.state }),
    };
  if ((await pendingScans(tx, list.id)).length > 0) return { refused: UNDER_WAY };
  const expectedGrams = contentWeightGrams(list.lines);
  if (!weightFits(expectedGrams, weightGrams)) {
    const detail = `The package weighs ${weightGrams} g where about ${expectedGrams} g were picked: count the tote, then pack again.`;
    return { refused: fail("conflict", detail, { expectedGrams, state: "picking" }), instead: "mismatch" };
  }
  const barcode = packageBarcode ?? `PKG-${list.id.slice(-12).toUpperCase()}`;
  if (await isLabelTaken(tx, barcode, list.id))
    return { refused: fail("unprocessable", "This label is on another package; take a new one.") };
  await say(tx, list, version, fulfillmentPacked.type, {
    packageBarcode: barcode,
    weightGrams,
    deliverTo: list.deliverTo,
    promisedAt: list.promisedAt.toISOString(),
    lines: unitsBySku(list.lines, (line) => line.picked),
  });
  return { packageBarcode: barcode };
}

/** Gives back what the floor holds of an order: picked units by putback, the rest by releasing the allocation. */
async function returnStock(inventory: ServiceClient, list: PickList): Promise<Done> {
  const picked = list.lines.filter((line) => line.picked > 0);
  if (picked.length > 0) {
    const putbackId = `${list.id}:putback`;
    const lines = picked.map(({ sku, bin, picked: quantity }) => ({ sku, bin, quantity }));
    const putBack = await inventory.call({
      method: "POST",
      path: "/internal/putbacks",
      idempotencyKey: putbackId,
      body: { putbackId, holdId: list.holdId, lines },
    });
    if (!putBack.ok) return putBack;
  }
  const released = await inventory.call({
    method: "POST",
    path: `/internal/allocations/${list.holdId}/release`,
    idempotencyKey: `${list.id}:release`,
    body: { reason: "order cancelled on the floor" },
  });
  return released.ok || released.code === "not-found" ? { ok: true } : released;
}
