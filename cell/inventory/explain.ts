import type { Tx } from "../../platform/sql.ts";
import type { ExplainAnswer } from "./contract.ts";
import { binOf } from "./domain.ts";
import { type MovementRow, movementOf } from "./reads.ts";

/** What is to be explained: a SKU, in one bin or in all, at a time or now. */
export interface ExplainQuestion {
  readonly sku: string;
  readonly binId: string | undefined;
  readonly at: Date | undefined;
}

/** Movements that are listed one by one; what was before them is told as a sum. */
const LISTED = 100;
const REPAIRS_SHOWN = 20;

/** Up to which movement, bin and time a question asks; `$1` sku, `$2` bin or null, `$3` time or null. */
const ASKED = `sku = $1 AND ($2::TEXT IS NULL OR bin_id = $2::TEXT)
  AND ($3::TIMESTAMPTZ IS NULL OR created_at <= $3::TIMESTAMPTZ)`;

interface HoldEventRow {
  readonly kind: ExplainAnswer["holds"][number]["kind"];
  readonly hold_id: string;
  readonly order_id: string | null;
  readonly units: number;
  readonly created_at: string;
}
interface Sums {
  readonly movements: number;
  readonly h: number;
  readonly a: number;
  readonly d: number;
}

/** Tells a balance by its movements; undefined for a SKU that is not known here. All of it is read at one moment. */
export async function explain(
  sql: Tx,
  { sku, binId, at }: ExplainQuestion,
): Promise<ExplainAnswer | undefined> {
  const [row] = await sql.query<{
    now: Date;
    known: boolean;
    sums: Sums | null;
    listed: (MovementRow & { created_at: string })[] | null;
    repairs: { bin_id: string; h: number; a: number; d: number; created_at: string }[] | null;
    holds: HoldEventRow[] | null;
    stored: Sums | null;
  }>(
    `SELECT now() AS now, EXISTS (SELECT 1 FROM inventory.sku WHERE sku = $1) AS known,
       (SELECT json_build_object('movements', count(*), 'h', coalesce(sum(on_hand_delta), 0),
          'a', coalesce(sum(allocated_delta), 0), 'd', coalesce(sum(damaged_delta), 0))
        FROM inventory.movement WHERE ${ASKED}) AS sums,
       (SELECT json_agg(row_to_json(m)) FROM (
          SELECT movement_id AS id, bin_id, version, ordinal, kind, command_id, hold_id, actor, on_hand_delta AS h,
            allocated_delta AS a, damaged_delta AS d, created_at
          FROM inventory.movement WHERE ${ASKED} ORDER BY version DESC, ordinal DESC LIMIT ${LISTED}) m) AS listed,
       (SELECT json_agg(row_to_json(r)) FROM (
          SELECT bin_id, on_hand_delta AS h, allocated_delta AS a, damaged_delta AS d, created_at
          FROM inventory.repair WHERE ${ASKED} ORDER BY created_at DESC LIMIT ${REPAIRS_SHOWN}) r) AS repairs,
       (SELECT json_agg(row_to_json(e)) FROM (
          SELECT kind, hold_id, order_id, units, created_at FROM inventory.hold_event
          WHERE sku = $1 AND ($3::TIMESTAMPTZ IS NULL OR created_at <= $3::TIMESTAMPTZ)
          ORDER BY created_at DESC, kind DESC LIMIT ${LISTED}) e) AS holds,
       (SELECT json_build_object('h', coalesce(sum(on_hand), 0), 'a', coalesce(sum(allocated), 0),
          'd', coalesce(sum(damaged), 0))
        FROM inventory.balance WHERE sku = $1 AND ($2::TEXT IS NULL OR bin_id = $2::TEXT)) AS stored`,
    [sku, binId ?? null, at?.toISOString() ?? null],
  );
  if (!row?.known) return undefined;
  const { sums, stored } = row;
  const listed = (row.listed ?? []).reverse();
  const shown = listed.reduce((sum, move) => ({ h: sum.h + move.h, a: sum.a + move.a, d: sum.d + move.d }), {
    ...{ h: 0, a: 0, d: 0 },
  });
  const total = sums ?? { movements: 0, h: 0, a: 0, d: 0 };
  const before = { h: total.h - shown.h, a: total.a - shown.a, d: total.d - shown.d };
  return {
    sku,
    ...(binId === undefined ? {} : { bin: binOf(binId) }),
    at: (at ?? row.now).toISOString(),
    balance: balanceOf(total),
    before: { ...balanceOf(before), movements: total.movements - listed.length },
    movements: listed.map((move) => movementOf(sku, { ...move, created_at: new Date(move.created_at) })),
    repairs: (row.repairs ?? []).reverse().map((repair) => ({
      ...balanceOf(repair),
      bin: binOf(repair.bin_id),
      at: new Date(repair.created_at).toISOString(),
    })),
    holds: (row.holds ?? []).reverse().map((event) => ({
      kind: event.kind,
      holdId: event.hold_id,
      ...(event.order_id === null ? {} : { orderId: event.order_id }),
      units: event.units,
      at: new Date(event.created_at).toISOString(),
    })),
    ...(at === undefined && stored ? { stored: balanceOf(stored) } : {}),
  };
}

function balanceOf({ h, a, d }: Pick<Sums, "h" | "a" | "d">): ExplainAnswer["balance"] {
  return { onHand: h, allocated: a, damaged: d };
}
