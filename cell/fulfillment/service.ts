import type { ServiceClient } from "../../platform/fetch.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import {
  fulfillmentPacked,
  fulfillmentPicked,
  fulfillmentPickingStarted,
  fulfillmentPutbackDone,
  fulfillmentShort,
  type ScanBody,
  type ShortBody,
} from "./contract.ts";
import {
  allResolved,
  contentWeightGrams,
  nextPickListState,
  nothingPicked,
  openUnits,
  type PickLine,
  type PickListEvent,
  unitsBySku,
  weightFits,
} from "./domain.ts";
import {
  applyScan,
  dropScan,
  findPickList,
  noteScan,
  type PickList,
  pendingUnits,
  type Scan,
  savePickList,
} from "./store.ts";

type Outcome = { readonly ok: true; readonly list: PickList } | Failure;

export interface FulfillmentService {
  start(id: string, tote: string): Promise<Outcome>;
  scan(id: string, body: ScanBody, picker: string): Promise<Outcome>;
  short(id: string, body: ShortBody): Promise<Outcome>;
  pack(id: string, weightGrams: number, packageBarcode: string | undefined): Promise<Outcome>;
  putBack(id: string): Promise<Outcome>;
}

const NO_LIST = fail("not-found", "There is no such pick list.");

/** The work of pickers. Stock is changed before a scan is acknowledged, under the scan's own id. */
export function createFulfillmentService(deps: { sql: Sql; inventory: ServiceClient }): FulfillmentService {
  const { sql, inventory } = deps;

  async function reread(id: string): Promise<Outcome> {
    const list = await findPickList(sql, id);
    return list ? { ok: true, list } : NO_LIST;
  }

  /** Notes the scan, tells inventory, counts it: killed anywhere, the picker's repetition completes it. */
  async function resolveUnits(
    id: string,
    scan: Omit<Scan, "pickListId">,
    check: (list: PickList, line: PickLine) => Failure | undefined,
    tell: (list: PickList, line: PickLine) => Promise<{ ok: true } | Failure>,
  ): Promise<Outcome> {
    const full: Scan = { ...scan, pickListId: id };
    const noted = await sql.transaction(async (tx) => {
      const list = await findPickList(tx, id, true);
      const line = list?.lines.find((candidate) => candidate.id === scan.lineId);
      if (!list) return NO_LIST;
      if (!line) return fail("unprocessable", "This pick list has no such line.");
      const before = await findScan(tx, full);
      if (before?.applied) return { ok: true as const, list, line, done: true };
      if (before === undefined) {
        if (list.state !== "picking")
          return fail("conflict", `This pick list is ${list.state}.`, { state: list.state });
        const refused = check(list, line);
        if (refused) return refused;
        const free = openUnits(line) - (await pendingUnits(tx, id, line.id));
        if (scan.quantity > free)
          return fail("unprocessable", `Only ${free} are left to pick on this line.`, { left: free });
      }
      await noteScan(tx, full);
      return { ok: true as const, list, line, done: false };
    });
    if (!noted.ok) return noted;
    if (noted.done) return reread(id);
    const told = await tell(noted.list, noted.line);
    if (!told.ok) {
      // A refusal is final and changed nothing; anything else may have happened, and is asked again under the same id.
      if (told.code === "unprocessable" || told.code === "conflict" || told.code === "not-found")
        await sql.transaction((tx) => dropScan(tx, full));
      return told;
    }
    await sql.transaction((tx) => count(tx, full));
    return reread(id);
  }

  async function count(tx: Tx, scan: Scan): Promise<void> {
    const list = await findPickList(tx, scan.pickListId, true);
    if (!list || !(await applyScan(tx, scan))) return;
    const lines = list.lines.map((line) =>
      line.id === scan.lineId
        ? {
            ...line,
            [scan.kind === "pick" ? "picked" : "short"]:
              (scan.kind === "pick" ? line.picked : line.short) + scan.quantity,
          }
        : line,
    );
    let version = list.version;
    const base = { orderId: list.orderId, pickListId: list.id };
    if (scan.kind === "short") {
      const sku = lines.find((line) => line.id === scan.lineId)?.sku ?? "";
      version++;
      await announce(tx, list.id, version, fulfillmentShort.type, {
        ...base,
        lines: [{ sku, quantity: scan.quantity }],
      });
    }
    if (list.state === "picking" && allResolved(lines)) {
      version++;
      const none = nothingPicked(lines);
      const short = unitsBySku(lines, (line) => line.short);
      await announce(tx, list.id, version, fulfillmentPicked.type, { ...base, short, nothingPicked: none });
      await savePickList(tx, list.id, { state: none ? "cancelled" : "picked", version });
    } else await savePickList(tx, list.id, { state: list.state, version });
  }

  async function move(
    id: string,
    event: PickListEvent,
    effect: (
      tx: Tx,
      list: PickList,
      version: number,
    ) => Promise<{ tote?: string; packageBarcode?: string } | Failure>,
  ): Promise<Outcome> {
    const moved = await sql.transaction(async (tx) => {
      const list = await findPickList(tx, id, true);
      if (!list) return NO_LIST;
      const state = nextPickListState(list.state, event);
      if (state === undefined)
        return fail("conflict", `This pick list is ${list.state}.`, { state: list.state });
      const version = list.version + 1;
      const change = await effect(tx, list, version);
      if ("ok" in change) return change;
      await savePickList(tx, id, { state, version, ...change });
      return { ok: true as const };
    });
    return moved.ok ? reread(id) : moved;
  }

  return {
    start: (id, tote) =>
      move(id, "start", async (tx, list, version) => {
        const data = { orderId: list.orderId, pickListId: id };
        await announce(tx, id, version, fulfillmentPickingStarted.type, data);
        return { tote };
      }),
    scan: (id, body, picker) =>
      resolveUnits(
        id,
        { eventId: body.eventId, lineId: body.lineId, kind: "pick", quantity: body.quantity },
        (_list, line) => {
          const { aisle, position, level } = line.bin;
          if (body.bin.aisle !== aisle || body.bin.position !== position || body.bin.level !== level)
            return fail(
              "unprocessable",
              `Wrong bin: go to aisle ${aisle}, position ${position}, level ${level}.`,
            );
          if (body.barcode !== line.barcode)
            return fail("unprocessable", "Wrong article: this is not what the line asks for.");
          return undefined;
        },
        (list, line) =>
          inventory.call({
            method: "POST",
            path: "/internal/picks",
            idempotencyKey: `${id}:${body.eventId}`,
            body: {
              pickId: `${id}:${body.eventId}`,
              holdId: list.holdId,
              sku: line.sku,
              bin: line.bin,
              quantity: body.quantity,
              actor: { kind: "human", id: picker },
            },
          }),
      ),
    short: (id, body) =>
      resolveUnits(
        id,
        { eventId: body.eventId, lineId: body.lineId, kind: "short", quantity: body.quantity },
        () => undefined,
        (list, line) =>
          inventory.call({
            method: "POST",
            path: "/internal/shorts",
            idempotencyKey: `${id}:${body.eventId}`,
            body: {
              shortId: `${id}:${body.eventId}`,
              holdId: list.holdId,
              sku: line.sku,
              bin: line.bin,
              quantity: body.quantity,
            },
          }),
      ),
    pack: (id, weightGrams, packageBarcode) =>
      move(id, "pack", async (tx, list, version) => {
        const expected = contentWeightGrams(list.lines);
        if (!weightFits(expected, weightGrams))
          return fail(
            "conflict",
            `The package weighs ${weightGrams} g where about ${expected} g were picked: recount it.`,
            {
              expectedGrams: expected,
            },
          );
        const barcode = packageBarcode ?? `PKG-${id.slice(-12).toUpperCase()}`;
        await announce(tx, id, version, fulfillmentPacked.type, {
          orderId: list.orderId,
          pickListId: id,
          packageBarcode: barcode,
          weightGrams,
          deliverTo: list.deliverTo,
          promisedAt: list.promisedAt.toISOString(),
          lines: unitsBySku(list.lines, (line) => line.picked),
        });
        return { packageBarcode: barcode };
      }),
    async putBack(id) {
      const list = await findPickList(sql, id);
      if (!list) return NO_LIST;
      if (list.state !== "cancelling")
        return fail("conflict", `This pick list is ${list.state}.`, { state: list.state });
      const stock = await returnStock(inventory, list);
      if (!stock.ok) return stock;
      return move(id, "putback", async (tx, _list, version) => {
        await announce(tx, id, version, fulfillmentPutbackDone.type, {
          orderId: list.orderId,
          pickListId: id,
        });
        return {};
      });
    },
  };
}

/** Gives back what the floor holds of an order: picked units by putback, the rest by releasing the allocation. */
async function returnStock(inventory: ServiceClient, list: PickList): Promise<{ ok: true } | Failure> {
  const picked = list.lines.filter((line) => line.picked > 0);
  if (picked.length > 0) {
    const putBack = await inventory.call({
      method: "POST",
      path: "/internal/putbacks",
      idempotencyKey: `${list.id}:putback`,
      body: {
        putbackId: `${list.id}:putback`,
        holdId: list.holdId,
        lines: picked.map(({ sku, bin, picked: quantity }) => ({ sku, bin, quantity })),
      },
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

async function announce(
  tx: Tx,
  subject: string,
  version: number,
  type: string,
  data: unknown,
): Promise<void> {
  await appendEvent(tx, "fulfillment", { type, subject, version, data });
}

async function findScan(tx: Tx, scan: Scan): Promise<{ applied: boolean } | undefined> {
  const rows = await tx.query<{ applied: boolean }>(
    "SELECT applied FROM fulfillment.scan WHERE pick_list_id = $1 AND event_id = $2",
    [scan.pickListId, scan.eventId],
  );
  return rows[0];
}
