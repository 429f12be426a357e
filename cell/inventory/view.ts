import type { Tx } from "../../platform/sql.ts";
import type { Submitted } from "./batch.ts";
import {
  type Allocation,
  type AllocationLine,
  commandKey,
  holdOf,
  type LedgerView,
  type SqlHold,
  skusOf,
} from "./commands.ts";
import { loadCounts } from "./countstore.ts";
import { type BinBalance, binOf } from "./domain.ts";

interface AnswerRow {
  readonly command_id: string;
  readonly body_hash: string;
  readonly answer: string;
}
interface AllocationRow {
  readonly hold_id: string;
  readonly order_id: string;
  readonly state: "allocated" | "released";
}
interface AllocationLineRow {
  readonly hold_id: string;
  readonly sku: string;
  readonly bin_id: string;
  readonly quantity: number;
  readonly picked: number;
  readonly shorted: number;
  readonly put_back: number;
  readonly released: number;
  readonly returned: number;
}
interface BalanceRow {
  readonly sku: string;
  readonly bin_id: string;
  readonly on_hand: number;
  readonly allocated: number;
  readonly damaged: number;
  readonly version: number;
}
interface HoldRow {
  readonly hold_id: string;
  readonly order_id: string;
  readonly owner: string;
  readonly call_key: string;
  readonly created_ms: number;
  readonly expires_ms: number;
  readonly extended: boolean;
  readonly lines: { sku: string; quantity: number }[] | null;
}

// One round trip each: the rows come as JSON, because a batch pays for every answer it waits for.
const LOAD_COMMANDS = `SELECT (extract(epoch FROM now()) * 1000)::FLOAT8 AS now_ms,
  (SELECT json_agg(row_to_json(c)) FROM (
     SELECT command_id, body_hash, answer FROM inventory.command WHERE command_id = ANY($1::TEXT[])) c) AS answers,
  (SELECT json_agg(row_to_json(a)) FROM (
     SELECT hold_id, order_id, state FROM inventory.allocation WHERE hold_id = ANY($2::TEXT[])) a) AS allocations,
  (SELECT json_agg(row_to_json(l)) FROM (
     SELECT hold_id, sku, bin_id, quantity, picked, shorted, put_back, released, returned
     FROM inventory.allocation_line WHERE hold_id = ANY($2::TEXT[]) ORDER BY sku, bin_id) l) AS lines`;

const LOAD_STOCK = `SELECT
  (SELECT json_agg(row_to_json(s)) FROM (
     SELECT sku, barcode, weight_grams FROM inventory.sku WHERE sku = ANY($1::TEXT[])) s) AS skus,
  (SELECT json_agg(row_to_json(b)) FROM (
     SELECT sku, bin_id, on_hand, allocated, damaged, version FROM inventory.balance
     WHERE sku = ANY($1::TEXT[])) b) AS balances,
  (SELECT json_agg(row_to_json(h)) FROM (
     SELECT hold_id, order_id, owner, call_key, (extract(epoch FROM created_at) * 1000)::FLOAT8 AS created_ms,
       (extract(epoch FROM expires_at) * 1000)::FLOAT8 AS expires_ms, extended,
       (SELECT json_agg(json_build_object('sku', x.sku, 'quantity', x.quantity))
        FROM inventory.hold_line x WHERE x.hold_id = o.hold_id) AS lines
     FROM inventory.hold o WHERE hold_id = ANY($2::TEXT[]) AND expires_at > now()) h) AS holds,
  (SELECT json_agg(row_to_json(t)) FROM (
     SELECT l.sku, sum(l.quantity) AS units FROM inventory.hold_line l JOIN inventory.hold h ON h.hold_id = l.hold_id
     WHERE l.sku = ANY($3::TEXT[]) AND h.expires_at > now() GROUP BY l.sku) t) AS held`;

/** Reads what the commands need; run it inside the transaction that writes their effects. */
export async function loadView(tx: Tx, commands: readonly Submitted[]): Promise<LedgerView> {
  const keys = commands.flatMap(({ command }) => commandKey(command) ?? []);
  const holdIds = [...new Set(commands.flatMap(({ command }) => holdOf(command) ?? []))];
  const [first] = await tx.query<{
    now_ms: number;
    answers: AnswerRow[] | null;
    allocations: AllocationRow[] | null;
    lines: AllocationLineRow[] | null;
  }>(LOAD_COMMANDS, [keys, holdIds]);
  const lines = first?.lines ?? [];
  const named = commands.flatMap(({ command }) => skusOf(command));
  const skus = [...new Set([...named, ...lines.map((line) => line.sku)])];
  const heldSkus = commands.flatMap(({ command }) => (command.kind === "hold" ? skusOf(command) : []));
  const counting = loadCounts(tx, commands);
  const looking = tx.query<{
    skus: { sku: string; barcode: string; weight_grams: number }[] | null;
    balances: BalanceRow[] | null;
    holds: HoldRow[] | null;
    held: { sku: string; units: number }[] | null;
  }>(LOAD_STOCK, [skus, holdIds, heldSkus]);
  const [counts, [second]] = await Promise.all([counting, looking]);
  return {
    nowMs: first?.now_ms ?? 0,
    skus: new Map(
      (second?.skus ?? []).map((row) => [row.sku, { barcode: row.barcode, weightGrams: row.weight_grams }]),
    ),
    balances: groupBalances(second?.balances ?? []),
    allocations: groupAllocations(first?.allocations ?? [], lines),
    holds: new Map((second?.holds ?? []).map((row) => [row.hold_id, toHold(row)])),
    held: new Map((second?.held ?? []).map((row) => [row.sku, row.units])),
    counts,
    answers: new Map(
      (first?.answers ?? []).map((row) => [
        row.command_id,
        { bodyHash: row.body_hash, answer: JSON.parse(row.answer) },
      ]),
    ),
  };
}

function groupBalances(rows: readonly BalanceRow[]): Map<string, BinBalance[]> {
  const grouped = new Map<string, BinBalance[]>();
  for (const row of rows) {
    const list = grouped.get(row.sku) ?? [];
    const { on_hand: onHand, allocated, damaged, version } = row;
    list.push({
      sku: row.sku,
      binId: row.bin_id,
      bin: binOf(row.bin_id),
      onHand,
      allocated,
      damaged,
      version,
    });
    grouped.set(row.sku, list);
  }
  return grouped;
}

/** Puts allocations and their lines together. */
export function groupAllocations(
  rows: readonly AllocationRow[],
  lines: readonly AllocationLineRow[],
): Map<string, Allocation> {
  const byHold = new Map<string, AllocationLine[]>();
  for (const row of lines) {
    const list = byHold.get(row.hold_id) ?? [];
    const { sku, bin_id: binId, quantity, picked, shorted, put_back: putBack, released, returned } = row;
    list.push({ sku, binId, bin: binOf(binId), quantity, picked, shorted, putBack, released, returned });
    byHold.set(row.hold_id, list);
  }
  return new Map(
    rows.map((row) => [
      row.hold_id,
      { holdId: row.hold_id, orderId: row.order_id, state: row.state, lines: byHold.get(row.hold_id) ?? [] },
    ]),
  );
}

function toHold(row: HoldRow): SqlHold {
  return {
    holdId: row.hold_id,
    orderId: row.order_id,
    owner: row.owner,
    callKey: row.call_key,
    createdAtMs: row.created_ms,
    expiresAtMs: row.expires_ms,
    extended: row.extended,
    lines: row.lines ?? [],
  };
}
