import type { Metrics } from "../../platform/metrics.ts";
import type { Sql } from "../../platform/sql.ts";
import type { Worker } from "../../platform/workers.ts";
import type { Effects } from "./batch.ts";
import type { ExplainAnswer } from "./contract.ts";
import type { Demand } from "./domain.ts";
import type { HoldStore } from "./holds.ts";

/**
 * Remembers the holds that came and went, for those who ask why something was not free. It never holds up a hold: what there is no room
 * for is left out and counted, and a process that dies takes its last seconds along. The rights themselves are in the hold store.
 */
export interface Trail {
  reserved(holdId: string, orderId: string, lines: readonly Demand[]): void;
  released(holdId: string, lines: readonly Demand[]): void;
  /** Ended by its time in SQL; those of the hold store are fetched from there. Each replica may tell it: `end` is the same for all. */
  expired(holdId: string, lines: readonly Demand[], end: string): void;
  /** What is done after a commit, with this before it: holds that became allocations are told by the ledger. */
  before(committed: (effects: Effects) => Promise<void>): (effects: Effects) => Promise<void>;
  /** Writes down what is older than a moment, or all of it. */
  flush(all: boolean): Promise<void>;
  readonly worker: Worker;
}

type Kind = ExplainAnswer["holds"][number]["kind"];

interface Event {
  readonly holdId: string;
  readonly orderId: string | undefined;
  readonly kind: Kind;
  readonly lines: readonly Demand[];
  /** What several replicas tell with the same words is written once; unique to this one where it is left out. */
  readonly end?: string;
  /** By the monotonic clock of this process. */
  readonly at: number;
}

export interface TrailOptions {
  readonly sql: Sql;
  readonly holds: Pick<HoldStore, "expired">;
  readonly metrics: Metrics;
  /** Nearly every hold becomes an allocation sooner than this, and need not be written down; default 5 s. */
  readonly patienceMs?: number;
  /** Holds that may wait to be written down, and as many ends; default 20,000. */
  readonly maxPending?: number;
}

const EXPIRED_AT_ONCE = 500;
const EVENTS_AT_ONCE = 2_000;

/** Makes the memory of one process. */
export function createTrail(options: TrailOptions): Trail {
  const { sql, holds, metrics, patienceMs = 5_000, maxPending = 20_000 } = options;
  const dropped = metrics.counter(
    "inventory_hold_events_dropped_total",
    "Holds that came or went and that the trail had no room for.",
  );
  const pending = new Map<string, Event>();
  let ended: Event[] = [];

  function over(kind: Kind, holdId: string, lines: readonly Demand[], end?: string): void {
    const orderId = pending.get(holdId)?.orderId;
    if (ended.length >= maxPending) dropped.inc();
    else
      ended.push({ holdId, orderId, kind, lines, ...(end !== undefined && { end }), at: performance.now() });
  }

  async function flush(all: boolean): Promise<void> {
    // What is taken out of the hold store is in memory only: no more of it than there is room for.
    if (ended.length < maxPending) {
      const expired = await holds.expired(EXPIRED_AT_ONCE).catch(() => []);
      for (const { holdId, lines } of expired) over("expire", holdId, lines);
    }
    const gone = new Set(ended.map((event) => event.holdId));
    const before = performance.now() - patienceMs;
    const due = [...pending.values()].filter((event) => all || gone.has(event.holdId) || event.at < before);
    const events = [...due, ...ended].slice(0, EVENTS_AT_ONCE);
    if (events.length === 0) return;
    await write(sql, events);
    const written = new Set(events);
    for (const event of due)
      if (written.has(event) && pending.get(event.holdId) === event) pending.delete(event.holdId);
    ended = ended.filter((event) => !written.has(event));
  }

  return {
    reserved(holdId, orderId, lines) {
      if (pending.size >= maxPending) dropped.inc();
      else pending.set(holdId, { holdId, orderId, kind: "reserve", lines, at: performance.now() });
    },
    released: (holdId, lines) => over("release", holdId, lines),
    expired: (holdId, lines, end) => over("expire", holdId, lines, end),
    before: (committed) => (effects) => {
      for (const { before, after } of effects.allocations) if (!before) pending.delete(after.holdId);
      return committed(effects);
    },
    flush,
    worker: { name: "inventory-trail", intervalMs: 2_000, run: () => flush(false) },
  };
}

async function write(sql: Sql, events: readonly Event[]): Promise<void> {
  const now = performance.now();
  const rows = events.flatMap(({ lines, ...event }) => lines.map((line) => ({ ...event, ...line })));
  // In a transaction for its epoch: a copy of the cell that was replaced writes nothing.
  await sql.transaction((tx) =>
    tx.query(
      `INSERT INTO inventory.hold_event (event_id, hold_id, order_id, kind, sku, units, created_at)
       SELECT coalesce(md5(e || ' ' || s)::UUID, gen_random_uuid()), h, o, k, s, u, now() - a * INTERVAL '1 millisecond'
       FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::INT8[], $6::INT8[], $7::TEXT[]) AS n (h, o, k, s, u, a, e)
       ON CONFLICT (event_id) DO NOTHING`,
      [
        rows.map((row) => row.holdId),
        rows.map((row) => row.orderId ?? null),
        rows.map((row) => row.kind),
        rows.map((row) => row.sku),
        rows.map((row) => row.quantity),
        rows.map((row) => Math.round(now - row.at)),
        rows.map((row) => row.end ?? null),
      ],
    ),
  );
}
