import type { DomainEvent } from "./events.ts";
import type { Failure } from "./problem.ts";
import type { SliceName } from "./slices.ts";
import type { Sql, Tx } from "./sql.ts";

/** What a slice does with another slice's events. */
export interface Subscription {
  /** Unique inside the slice; part of the inbox row. */
  readonly consumer: string;
  /** Whose topic. */
  readonly from: SliceName;
  /** Other types of the topic are passed over. */
  readonly types: readonly string[];
  /**
   * Runs inside one fenced transaction together with the inbox row, so its effect happens once. A Failure or
   * an error rolls all of it back and the event is tried again.
   */
  handle(tx: Tx, event: DomainEvent): Promise<"applied" | "ignored" | Failure>;
  /** The same for several events of one partition, in their order, none of which was had before; what it throws is told of all of them. */
  handleAll?(tx: Tx, events: readonly DomainEvent[]): Promise<void>;
}

/** Writes the inbox rows; answers the events that this consumer has not had. */
async function applyOnce(
  tx: Tx,
  schema: string,
  consumer: string,
  events: readonly DomainEvent[],
): Promise<DomainEvent[]> {
  const rows = await tx.query<{ event_id: string }>(
    `INSERT INTO ${schema}.inbox (consumer, event_id) SELECT $1, n.id FROM unnest($2::TEXT[]) AS n (id)
     ON CONFLICT (consumer, event_id) DO NOTHING RETURNING event_id`,
    [consumer, events.map(({ id }) => id)],
  );
  const fresh = new Set(rows.map(({ event_id }) => event_id));
  // An event that came twice is applied where it came first.
  return events.filter(({ id }) => fresh.delete(id));
}

/** The event could not be applied; retried, and in the end put with the dead letters. */
export class EventRefused extends Error {
  constructor(event: DomainEvent, failure: Failure) {
    super(`${event.type} ${event.id}: ${failure.code}: ${failure.detail}`);
  }
}

/** Gives one event to the subscriptions that want it, each in its own transaction. Throws when one of them failed. */
export function deliver(
  sql: Sql,
  schema: string,
  subscriptions: readonly Subscription[],
  event: DomainEvent,
): Promise<void> {
  return deliverAll(sql, schema, subscriptions, [event]);
}

/**
 * Gives events to the subscriptions that want them, in their order. Neighbours that the same subscriptions want share a transaction. When
 * one cannot be applied, it throws: none of its neighbours was, nor any behind them.
 */
export async function deliverAll(
  sql: Sql,
  schema: string,
  subscriptions: readonly Subscription[],
  events: readonly DomainEvent[],
): Promise<void> {
  for (const { wanting, events: alike } of neighbours(subscriptions, events))
    for (const subscription of wanting) await apply(sql, schema, subscription, alike);
}

interface Alike {
  readonly wanting: readonly Subscription[];
  readonly events: DomainEvent[];
}

function neighbours(subscriptions: readonly Subscription[], events: readonly DomainEvent[]): Alike[] {
  const runs: Alike[] = [];
  for (const event of events) {
    const source = event.source.split("/").at(-1);
    const wanting = subscriptions.filter(({ from, types }) => from === source && types.includes(event.type));
    const last = runs.at(-1);
    const isAlike =
      last?.wanting.length === wanting.length && wanting.every((one, index) => one === last.wanting[index]);
    if (last && isAlike) last.events.push(event);
    else runs.push({ wanting, events: [event] });
  }
  return runs;
}

function apply(
  sql: Sql,
  schema: string,
  { consumer, handle, handleAll }: Subscription,
  events: readonly DomainEvent[],
): Promise<void> {
  return sql.transaction(async (tx) => {
    const fresh = await applyOnce(tx, schema, consumer, events);
    if (handleAll && fresh.length > 1) return handleAll(tx, fresh);
    for (const event of fresh) {
      const outcome = await handle(tx, event);
      if (typeof outcome === "object") throw new EventRefused(event, outcome);
    }
  });
}

const RETENTION_DAYS = 14;

/** Forgets inbox rows that are older than any redelivery; at most `limit`. */
export async function sweepInbox(sql: Sql, schema: string, limit: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM ${schema}.inbox WHERE (consumer, event_id) IN (SELECT consumer, event_id FROM ${schema}.inbox
       WHERE seen_at < now() - INTERVAL '${RETENTION_DAYS} days' ORDER BY seen_at LIMIT $1) RETURNING event_id`,
    [limit],
  );
  return rows.length;
}
