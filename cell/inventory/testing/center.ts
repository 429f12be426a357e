import type { Answer } from "../../../platform/fetch.ts";
import type { Failure } from "../../../platform/problem.ts";
import { startTestCell, type TestCell } from "../../../platform/testing/cell.ts";
import type { AllocationAnswer, Bin, HoldAnswer, Stock, StockAnswer } from "../contract.ts";
import { findDrift } from "../reconcile.ts";
import { inventorySlice } from "../slice.ts";

export const BIN: Bin = { aisle: 1, position: 1, level: 0 };

/** A center with a running inventory slice, and the sentences in which its tests speak. */
export interface TestCenter {
  readonly cell: TestCell;
  /** Registers SKUs and puts this many units of each into one bin. */
  fill(units: Readonly<Record<string, number>>, bin?: Bin): Promise<void>;
  post<T>(path: string, body: unknown, key?: string): Promise<Answer<T> | Failure>;
  hold(
    holdId: string,
    lines: readonly Line[],
    more?: object,
    key?: string,
  ): Promise<Answer<HoldAnswer> | Failure>;
  allocate(holdId: string, lines: readonly Line[]): Promise<Answer<AllocationAnswer> | Failure>;
  stock(sku: string): Promise<Stock>;
  /** The sum of a SKU over all allocations that were not given back, by the ledger. */
  sold(sku: string): Promise<number>;
  /** SKUs whose balances differ from their movements or allocations. */
  drift(): Promise<unknown[]>;
  stop(): Promise<void>;
}

export interface Line {
  readonly sku: string;
  readonly quantity: number;
}

let numbers = 0;

/** A name that no other test of this run uses. */
export function fresh(prefix: string): string {
  return `${prefix}-${process.pid}-${numbers++}`;
}

/** Starts a cell with only the inventory slice. */
export async function startCenter(env: Readonly<Record<string, string>> = {}): Promise<TestCenter> {
  const cell = await startTestCell({ slices: [inventorySlice], env });
  const staff = cell.as("u-staff", "staff").inventory;
  const { inventory } = cell.internal;
  const post = <T>(path: string, body: unknown, key?: string) =>
    inventory.call<T>({ method: "POST", path, body, ...(key === undefined ? {} : { idempotencyKey: key }) });

  return {
    cell,
    post,
    async fill(units, bin = BIN) {
      const skus = Object.keys(units).map((sku) => ({
        sku,
        barcode: `b-${sku}`,
        name: sku,
        weightGrams: 500,
        temperature: "ambient",
      }));
      expectOk(await staff.call({ method: "POST", path: "/v1/skus", body: { skus } }));
      const lines = Object.entries(units)
        .filter(([, quantity]) => quantity > 0)
        .map(([sku, quantity]) => ({ sku, bin, quantity }));
      if (lines.length === 0) return;
      const body = { receiptId: fresh("rcp"), lines };
      expectOk(await staff.call({ method: "POST", path: "/v1/receipts", body }));
    },
    hold: (holdId, lines, more = {}, key) =>
      post("/internal/holds", { holdId, orderId: `ord-${holdId}`, owner: "u-1", lines, ...more }, key),
    allocate: (holdId, lines) => post("/internal/allocations", { holdId, orderId: `ord-${holdId}`, lines }),
    async stock(sku) {
      const answer = expectOk(await staff.call<StockAnswer>({ method: "GET", path: `/v1/stock?sku=${sku}` }));
      const found = answer.stock[0];
      if (!found) throw new Error(`no stock of ${sku}`);
      return found;
    },
    async sold(sku) {
      const [row] = await cell.sql.query<{ units: number }>(
        `SELECT coalesce(sum(quantity - released - shorted - put_back), 0)::INT8 AS units
         FROM inventory.allocation_line WHERE sku = $1`,
        [sku],
      );
      return row?.units ?? 0;
    },
    async drift() {
      const rows = await cell.sql.query<{ sku: string }>("SELECT sku FROM inventory.sku");
      return await findDrift(
        cell.sql,
        rows.map((row) => row.sku),
      );
    },
    stop: () => cell.stop(),
  };
}

/** The body of a good answer; throws the problem of a bad one. */
export function expectOk<T>(answer: Answer<T> | Failure): T {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.body;
}
