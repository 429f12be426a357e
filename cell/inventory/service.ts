import { createHash } from "node:crypto";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Outcome } from "./batch.ts";
import type { Command } from "./commands.ts";
import {
  MAX_SELLABLE_SKUS,
  type Movement,
  type SellableAnswer,
  type Sku,
  type StockAnswer,
} from "./contract.ts";
import type { HoldStore } from "./holds.ts";
import { readMirror } from "./mirror.ts";
import { type MovementCursor, putSkus, readMovements, readSellable, readSkus, readStock } from "./reads.ts";
import { type Drift, findDrift, repairDrift } from "./reconcile.ts";
import type { Writer } from "./writer.ts";

export interface StockServiceOptions {
  readonly sql: Sql;
  readonly holds: HoldStore;
  readonly writer: Writer;
  readonly nowMs: () => number;
}

/** What is in stock, with a tag that changes when the list does. */
export interface SellableList extends SellableAnswer {
  readonly etag: string;
}

/** Master data, stock and movements: everything but holds. */
export interface StockService {
  run<T>(command: Command): Promise<{ ok: true; answer: T } | Failure>;
  putSkus(skus: readonly Sku[]): Promise<{ ok: true; accepted: number } | Failure>;
  skus(codes: readonly string[]): Promise<{ skus: Sku[]; unknown: string[] }>;
  stock(codes: readonly string[]): Promise<{ ok: true; answer: StockAnswer } | Failure>;
  movements(sku: string, cursor: string | undefined): Promise<MovementPage | Failure>;
  sellable(): Promise<SellableList>;
  reconcile(
    skus: readonly string[],
    repair: boolean,
  ): Promise<{ drifts: readonly Drift[]; repaired: number }>;
}

export interface MovementPage {
  readonly ok: true;
  readonly movements: readonly Movement[];
  readonly nextCursor: string | undefined;
}

const MOVEMENTS_PAGE = 100;
const SELLABLE_AGE_MS = 1_000;

/** Makes the use cases over one slice's database and hold store. */
export function createStockService(options: StockServiceOptions): StockService {
  const { sql, holds, writer } = options;
  const sellable = cached(() => readList(sql, holds), SELLABLE_AGE_MS, options.nowMs);

  return {
    sellable,
    async reconcile(skus, repair) {
      const drifts = await findDrift(sql, skus);
      return { drifts, repaired: repair ? (await repairDrift(sql, skus)).length : 0 };
    },
    async run<T>(command: Command) {
      const outcome: Outcome = await writer.submit(command);
      return outcome.ok ? { ok: true as const, answer: outcome.answer as T } : outcome;
    },
    async putSkus(skus) {
      const doubled = firstDouble(skus.map((row) => row.sku)) ?? firstDouble(skus.map((row) => row.barcode));
      if (doubled)
        return fail("unprocessable", `${doubled} is in the list twice: send each SKU and barcode once.`);
      const taken = await sql.transaction((tx) => putSkus(tx, skus));
      if (taken.length > 0) {
        const named = taken.slice(0, 5).join(", ");
        return fail("conflict", `The barcode of ${named} belongs to another SKU: give each SKU its own.`, {
          taken,
        });
      }
      // A new SKU is made known to the hold store, so that "none left" and "never heard of" stay apart. The walk over all SKUs
      // repeats this where it fails.
      await holds
        .settle(
          [],
          await readMirror(
            sql,
            skus.map((row) => row.sku),
          ),
        )
        .catch(() => undefined);
      return { ok: true, accepted: skus.length };
    },
    async skus(codes) {
      const skus = await readSkus(sql, codes);
      const known = new Set(skus.map((row) => row.sku));
      return { skus, unknown: codes.filter((code) => !known.has(code)) };
    },
    async stock(codes) {
      const [rows, reserved] = await Promise.all([
        readStock(sql, codes),
        holds.reserved(codes).catch(() => undefined),
      ]);
      if (rows.length < codes.length) {
        const known = new Set(rows.map((row) => row.sku));
        const unknown = codes.filter((code) => !known.has(code));
        return fail("not-found", `This center knows no SKU ${unknown.slice(0, 5).join(", ")}.`, { unknown });
      }
      const stock = rows.map((row) => {
        const held = row.held + (reserved?.get(row.sku) ?? 0);
        const { sku, on_hand: onHand, allocated, damaged, version } = row;
        return {
          sku,
          onHand,
          reserved: held,
          allocated,
          damaged,
          available: onHand - held - allocated - damaged,
          version,
        };
      });
      return { ok: true, answer: { stock, reservedKnown: reserved !== undefined } };
    },
    async movements(sku, cursor) {
      const after = parseCursor(cursor);
      if (!after)
        return fail("invalid-request", "The cursor is not one that this list gave: start without one.");
      const page = await readMovements(sql, sku, after, MOVEMENTS_PAGE + 1);
      const shown = page.slice(0, MOVEMENTS_PAGE);
      const last = shown.at(-1);
      return {
        ok: true,
        movements: shown.map(({ ordinal: _, ...movement }) => movement),
        nextCursor: page.length > MOVEMENTS_PAGE && last ? `${last.version}.${last.ordinal}` : undefined,
      };
    },
  };
}

function firstDouble(list: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return list.find((item) => seen.size === seen.add(item).size);
}

function parseCursor(cursor: string | undefined): MovementCursor | undefined {
  if (cursor === undefined) return { version: -1, ordinal: -1 };
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor);
  return match ? { version: Number(match[1]), ordinal: Number(match[2]) } : undefined;
}

async function readList(sql: Sql, holds: HoldStore): Promise<SellableList> {
  // Holds count here where they can be seen; without them the ledger's answer is a little too hopeful, and only a hint anyway.
  const found = (await holds.inStock().catch(() => undefined)) ?? (await readSellable(sql));
  const skus = found.sort().slice(0, MAX_SELLABLE_SKUS);
  const etag = `"${createHash("sha256").update(skus.join("\n")).digest("base64url").slice(0, 22)}"`;
  return { skus, truncated: found.length > skus.length, etag };
}

/** One value for everybody who asks within its age; one reading at a time. */
function cached<T>(read: () => Promise<T>, maxAgeMs: number, nowMs: () => number): () => Promise<T> {
  let value: { readonly at: number; readonly of: T } | undefined;
  let reading: Promise<T> | undefined;
  return async () => {
    if (value && nowMs() - value.at < maxAgeMs) return value.of;
    reading ??= read()
      .then((of) => {
        value = { at: nowMs(), of };
        return of;
      })
      .finally(() => {
        reading = undefined;
      });
    return await reading;
  };
}
