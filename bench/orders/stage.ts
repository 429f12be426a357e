import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type CellProcess, startCellProcess } from "../../cell/testing/process.ts";
import { newUuid } from "../../platform/ids.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { startTestCell, type TestCell } from "../../platform/testing/cell.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { type Child, startChild } from "../load/child.ts";
import type { OrdersTarget } from "./load.ts";

/** A Compact cell as a process, the processor's stand-in and the source of the load, each alone in its process. */
export interface OrdersStage {
  readonly load: Child;
  /** Throws when the books of the cell and the processor do not have exactly these orders, all confirmed, from hold to pick list. */
  prove(orders: number): Promise<void>;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly skus: number;
  readonly linesPerOrder: number;
  readonly profileDir?: string | undefined;
}

const READY_MS = 120_000;
const SETTLE_MS = 300_000;
const STOP_GRACE_MS = 30_000;
const PAGE = 100;
const UNITS_EACH = 1_000_000;
/** Connections of each slice. */
const POOL = "10";

/** Starts everything and fills the center. The stores are those of the environment. */
export async function openOrdersStage(options: StageOptions): Promise<OrdersStage> {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const undo of closing.splice(0).reverse()) await undo();
  };
  try {
    const processor = startChild(join(import.meta.dirname, "processor.ts"), []);
    closing.push(() => processor.stop());
    const cell = await startTestCell({
      slices: [],
      partitions: 3,
      env: {
        PSP_URL: await processor.ask<string>("url"),
        MAX_ORDERS_PER_MINUTE: "1000000",
        DATABASE_POOL: POOL,
        LOG_LEVEL: "warn",
        DRAIN_MS: "100",
        // One trace in a hundred is made and written to a file; the rest is passed on only.
        OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG: "0.01",
      },
    });
    closing.push(() => cell.stop());
    const running = startCellProcess(SLICE_NAMES.join(","), {
      ...cell.env,
      ...profiling(options.profileDir),
    });
    closing.push(() => endCell(running));
    await Promise.race([
      eventually(() => isReady(cell), READY_MS, 200),
      running.exited.then((code) => {
        throw new Error(`The cell ended (${code}): ${running.stderr()}`);
      }),
    ]);
    await fill(cell, options.skus);
    const target: OrdersTarget = {
      ...{ url: cell.url("orders"), center: cell.center, trustDir: cell.trustDir },
      ...{ skus: options.skus, linesPerOrder: options.linesPerOrder },
    };
    const env = { ...process.env, BENCH_TARGET: JSON.stringify(target) };
    const load = startChild(join(import.meta.dirname, "load.ts"), [], { env });
    closing.push(() => load.stop());
    return {
      load,
      prove: (orders) => prove(cell, processor, orders, orders * options.linesPerOrder),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function profiling(dir: string | undefined): Record<string, string> {
  if (dir === undefined) return {};
  mkdirSync(dir, { recursive: true });
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir}` };
}

/** By SIGTERM, so that it ends what is under way and writes its profile. */
async function endCell(running: CellProcess): Promise<void> {
  running.signal("SIGTERM");
  const late = new Promise<void>((resolve) => setTimeout(resolve, STOP_GRACE_MS).unref());
  await Promise.race([running.exited, late]);
  await running.stop();
}

async function isReady(cell: TestCell): Promise<boolean> {
  const answers = await Promise.all(SLICE_NAMES.map((slice) => fetch(`${cell.url(slice)}/readyz`)));
  return answers.every((answer) => answer.ok);
}

async function fill(cell: TestCell, skus: number): Promise<void> {
  const staff = cell.as("u-staff", "staff");
  const post = async (slice: "inventory" | "orders", path: string, body: object) => {
    const answer = await staff[slice].call({ method: "POST", path, body, idempotencyKey: newUuid() });
    if (!answer.ok) throw new Error(`${path}: ${answer.detail}`);
  };
  const names = Array.from({ length: skus }, (_, sku) => `sku-${sku}`);
  for (let from = 0; from < skus; from += PAGE) {
    const page = names.slice(from, from + PAGE);
    const about = { name: "Test goods", weightGrams: 500, temperature: "ambient" };
    await post("inventory", "/v1/skus", {
      skus: page.map((sku) => ({ sku, barcode: `b-${sku}`, ...about })),
    });
    const lines = page.map((sku, index) => ({
      ...{ sku, quantity: UNITS_EACH },
      bin: { aisle: from / PAGE + 1, position: index, level: 0 },
    }));
    await post("inventory", "/v1/receipts", { receiptId: newUuid(), lines });
    const price = { amountMinor: 1_000, currency: "KRW" };
    await post("orders", "/v1/prices", { prices: page.map((sku) => ({ sku, price })) });
  }
}

/** The last to know is fulfillment: its pick lists come from events, so they are waited for. */
async function prove(cell: TestCell, processor: Child, orders: number, units: number): Promise<void> {
  const wanted = {
    ...{ orders, confirmed: orders, authorised: orders, allocations: orders, intents: orders },
    ...{ units, balance: units, pickLists: orders, approved: orders },
  };
  await eventually(
    async () => {
      const [found] = await cell.sql.query<Omit<typeof wanted, "approved">>(BOOKS);
      const seen = { ...found, approved: await processor.ask<number>("approved") };
      if (JSON.stringify(sorted(seen)) === JSON.stringify(sorted(wanted))) return true;
      throw new Error(`the books have ${JSON.stringify(seen)} where ${JSON.stringify(wanted)} was told`);
    },
    SETTLE_MS,
    500,
  );
}

const sorted = (record: object) => Object.entries(record).sort(([left], [right]) => (left < right ? -1 : 1));

const BOOKS = `SELECT
  (SELECT count(*) FROM orders.orders)::INT8 AS orders,
  (SELECT count(*) FROM orders.orders WHERE state = 'confirmed')::INT8 AS confirmed,
  (SELECT count(*) FROM orders.orders WHERE payment_status = 'authorised')::INT8 AS authorised,
  (SELECT count(*) FROM payments.intent WHERE status = 'authorised')::INT8 AS intents,
  (SELECT count(*) FROM inventory.allocation WHERE state = 'allocated')::INT8 AS allocations,
  (SELECT coalesce(sum(quantity), 0) FROM inventory.allocation_line)::INT8 AS units,
  (SELECT coalesce(sum(allocated), 0) FROM inventory.balance)::INT8 AS balance,
  (SELECT count(*) FROM fulfillment.pick_list)::INT8 AS "pickLists"`;
