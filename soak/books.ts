import { TERMINAL } from "../cell/orders/domain.ts";
import type { SliceName } from "../platform/slices.ts";
import type { Sql } from "../platform/sql.ts";
import type { SoakCenter } from "./center.ts";
import { type AllocationCall, checkAllocations, type Interval, type LedgerRow } from "./check/allocations.ts";
import { assemble, type Operation } from "./check/history.ts";
import { checkHolds, type GrantedHold } from "./check/holds.ts";
import { type BalanceRow, checkLedger, type MirrorRow, type OpenRow } from "./check/ledger.ts";
import { checkMoney, type ProcessorEntry } from "./check/money.ts";
import { checkOrders, type LogRow, type OrderRow } from "./check/orders.ts";
import type { Verdict } from "./check/verdict.ts";
import type { Client } from "./client.ts";
import type { Assortment, Tally } from "./customers.ts";

/** States of orders that were never promised to anybody. */
const REFUSED: ReadonlySet<string> = new Set(["rejected", "payment_failed"]);

/** What is still to be done in the cell: zero of everything when it has come to rest. */
export interface Rest {
  readonly orders: number;
  /** Goods in totes: an order that was cancelled has ended before they are back in their bins. */
  readonly pickLists: number;
  readonly sagas: number;
  readonly effects: number;
  readonly operations: number;
  readonly outbox: number;
  readonly notes: number;
  readonly holds: number;
}

/** Counts what is still under way. */
export async function readRest(sql: Sql): Promise<Rest> {
  const [row] = await sql.query<Rest>(
    `SELECT
      (SELECT count(*) FROM orders.orders WHERE NOT (state = ANY($1::TEXT[])))::INT8 AS orders,
      (SELECT count(*) FROM fulfillment.pick_list WHERE state NOT IN ('packed', 'cancelled'))::INT8 AS "pickLists",
      (SELECT count(*) FROM orders.saga WHERE direction IN ('forward', 'backward'))::INT8 AS sagas,
      (SELECT count(*) FROM orders.effect WHERE NOT done)::INT8 AS effects,
      (SELECT count(*) FROM payments.operation WHERE state = 'pending')::INT8 AS operations,
      (SELECT count(*) FROM orders.outbox)::INT8 AS outbox,
      ((SELECT count(*) FROM inventory.mirror_due) + (SELECT count(*) FROM inventory.drop_due))::INT8 AS notes,
      (SELECT count(*) FROM inventory.hold)::INT8 AS holds`,
    [[...TERMINAL]],
  );
  if (!row) throw new Error("the cell's database gave no answer");
  return row;
}

/** Reads all books of a cell at rest and judges them. */
export async function judge(options: {
  readonly center: SoakCenter;
  readonly client: Client;
  readonly assortment: Assortment;
  readonly tally: Tally;
}): Promise<{ readonly verdicts: readonly Verdict[]; readonly holds: number; readonly delivered: number }> {
  const { center, client, assortment, tally } = options;
  const { sql } = center;
  const operations = assemble(await center.recordings());
  const ledger = await readLedger(sql);
  const orders = await readOrders(sql);
  const granted = holdsOf(operations);
  const givenBack = await readGivenBack(sql);
  const delivered = orders.filter(({ state }) => state === "delivered");
  const verdicts = [
    checkOrders({
      ...{ placed: tally.placed, orders, final: TERMINAL, refused: REFUSED },
      log: await sql.query<LogRow>(
        `SELECT order_id AS "orderId", version, from_state AS "from", to_state AS "to"
         FROM orders.state_log WHERE outcome = 'applied'`,
      ),
    }),
    checkAllocations({
      ...{ ledger, reads: tally.reads, releases: releasesOf(operations) },
      allocations: allocationsOf(operations),
    }),
    checkHolds({ holds: granted, stock: assortment.units }),
    checkLedger({
      ...{ ledger, received: assortment.units, delivered: unitsOf(delivered) },
      returned: await readReturned(sql),
      balances: await sql.query<BalanceRow>(
        `SELECT sku, bin_id AS "binId", on_hand AS "onHand", allocated, damaged FROM inventory.balance`,
      ),
      open: await sql.query<OpenRow>(
        `SELECT sku, bin_id AS "binId", sum(quantity - picked - shorted - released)::INT8 AS open
         FROM inventory.allocation_line GROUP BY sku, bin_id`,
      ),
      mirror: await readMirror(client, [...assortment.units.keys()]),
    }),
    checkMoney(
      orders.map(({ id, state, dueMinor }) => ({
        ...{ id, state, dueMinor },
        givenBackMinor: givenBack.get(id) ?? 0,
      })),
      await readProcessor(center.processorSql),
    ),
  ];
  return { verdicts, holds: granted.length, delivered: delivered.length };
}

interface FinalOrder extends OrderRow {
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  /** Units that were not found, or cancelled before they were picked. */
  readonly missing: readonly { readonly sku: string; readonly quantity: number }[];
  readonly dueMinor: number;
}

async function readOrders(sql: Sql): Promise<FinalOrder[]> {
  const rows = await sql.query<{
    id: string;
    sub: string;
    key: string;
    state: string;
    total: number;
    lines: { sku: string; quantity: number; price: { amountMinor: number } }[];
    missing: { sku: string; quantity: number }[];
  }>(
    `SELECT id, sub, idempotency_key AS key, state, total_minor AS total, lines, short_lines || cancelled_lines AS missing
     FROM orders.orders`,
  );
  return rows.map(({ id, sub, key, state, total, lines, missing }) => {
    const priceOf = new Map(lines.map(({ sku, price }) => [sku, price.amountMinor]));
    const less = missing.reduce((sum, { sku, quantity }) => sum + quantity * (priceOf.get(sku) ?? 0), 0);
    const isReleased = key.endsWith(`#${id}`);
    return { ...{ id, sub, key, state, lines, missing, isReleased }, dueMinor: total - less };
  });
}

function unitsOf(orders: readonly FinalOrder[]): Map<string, number> {
  const units = new Map<string, number>();
  for (const { lines, missing } of orders) {
    for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
    for (const { sku, quantity } of missing) units.set(sku, (units.get(sku) ?? 0) - quantity);
  }
  return units;
}

/** Units of closed returns by SKU. */
async function readReturned(sql: Sql): Promise<Map<string, number>> {
  const rows = await sql.query<{ sku: string; units: number }>(
    `SELECT line->>'sku' AS sku, sum((line->>'quantity')::INT8)::INT8 AS units
     FROM orders.return_case, jsonb_array_elements(inspected) AS line WHERE state = 'closed' GROUP BY 1`,
  );
  return new Map(rows.map(({ sku, units }) => [sku, units]));
}

/** What the orders say was given back, by order. */
async function readGivenBack(sql: Sql): Promise<Map<string, number>> {
  const rows = await sql.query<{ id: string; minor: number }>(
    `SELECT id, sum(minor)::INT8 AS minor FROM (
       SELECT order_id AS id, amount_minor AS minor FROM orders.refund WHERE state = 'taken'
       UNION ALL SELECT order_id, refund_minor FROM orders.return_case WHERE state = 'closed') AS g GROUP BY id`,
  );
  return new Map(rows.map(({ id, minor }) => [id, minor]));
}

async function readLedger(sql: Sql): Promise<LedgerRow[]> {
  return sql.query<LedgerRow>(
    `SELECT sku, bin_id AS "binId", version, ordinal, kind, command_id AS "commandId", hold_id AS "holdId",
       on_hand_delta AS "onHand", allocated_delta AS allocated, damaged_delta AS damaged FROM inventory.movement`,
  );
}

const STOCK_PAGE = 100;

async function readMirror(client: Client, skus: readonly string[]): Promise<MirrorRow[]> {
  const rows: MirrorRow[] = [];
  for (let from = 0; from < skus.length; from += STOCK_PAGE) {
    const path = `/v1/stock?sku=${skus.slice(from, from + STOCK_PAGE).join(",")}`;
    const ask = { sub: "u-staff", role: "staff", method: "GET", path } as const;
    const slice: SliceName = "inventory";
    const { status, body } = await client.insist(slice, ask, 30_000);
    if (status !== 200) throw new Error(`the stock cannot be read: ${status}`);
    rows.push(...(body.stock as MirrorRow[]));
  }
  return rows;
}

/** An authorization's word is that of now: approved ones are voided later. */
async function readProcessor(sql: Sql): Promise<ProcessorEntry[]> {
  return sql.query<ProcessorEntry>(
    `SELECT coalesce(a.reference, e.reference, e.authorization_key) AS reference, e.kind,
       CASE WHEN e.kind = 'authorization' THEN a.status ELSE e.status END AS status, e.amount_minor AS "amountMinor"
     FROM psp.entry e LEFT JOIN psp.authorization_state a ON a.key = e.authorization_key
     WHERE e.kind <> 'void' AND NOT (e.kind = 'refund' AND e.status = 'declined')`,
  );
}

type Wanted = readonly { readonly sku: string; readonly quantity: number }[];

function allocationsOf(operations: ReadonlyMap<string, Operation>): AllocationCall[] {
  return [...operations.values()]
    .filter(({ call }) => call === "allocate")
    .map(({ key, asked, invokedAtMs, answeredAtMs }) => ({
      ...{ holdId: key, lines: (asked ?? []) as Wanted, invokedAtMs, answeredAtMs },
    }));
}

function releasesOf(operations: ReadonlyMap<string, Operation>): Map<string, Interval> {
  const releases = [...operations.values()].filter(({ call }) => call === "release");
  return new Map(releases.map(({ key, invokedAtMs, answeredAtMs }) => [key, { invokedAtMs, answeredAtMs }]));
}

/** Each grant by each generation; it ends when its release, or that of its allocation, was asked for, or when it ran out unallocated. */
function holdsOf(operations: ReadonlyMap<string, Operation>): GrantedHold[] {
  const holds: GrantedHold[] = [];
  const released = new Map<string, number>();
  for (const { call, key, asked, invokedAtMs } of operations.values()) {
    if (call !== "release-hold" && call !== "release") continue;
    const holdId = call === "release" ? (asked as { holdId: string }).holdId : key;
    released.set(holdId, Math.min(invokedAtMs, released.get(holdId) ?? Number.POSITIVE_INFINITY));
  }
  for (const { call, key, asked, answers, invokedAtMs } of operations.values()) {
    if (call !== "hold") continue;
    const isAllocated = Number.isFinite(operations.get(`allocate ${key}`)?.answeredAtMs ?? Number.NaN);
    const generations = new Map<string, { atMs: number; expiresAtMs: number }>();
    for (const { atMs, value } of answers) {
      const { generation, expiresAt } = value as { generation: string; expiresAt: string };
      if (!generations.has(generation))
        generations.set(generation, { atMs, expiresAtMs: Date.parse(expiresAt) });
    }
    for (const [generation, { atMs, expiresAtMs }] of generations) {
      const ranOut = isAllocated ? Number.POSITIVE_INFINITY : monotonicOf(expiresAtMs) - EXPIRY_SLACK_MS;
      holds.push({
        ...{ holdId: key, generation, lines: (asked ?? []) as Wanted, invokedAtMs, answeredAtMs: atMs },
        endsAtMs: Math.max(atMs, Math.min(ranOut, released.get(key) ?? Number.POSITIVE_INFINITY)),
      });
    }
  }
  return holds;
}

/** Wall clock and monotonic clock drift apart by less than this while a run lasts. */
const EXPIRY_SLACK_MS = 2_000;

function monotonicOf(wallMs: number): number {
  return wallMs - Date.now() + Number(process.hrtime.bigint()) / 1e6;
}
