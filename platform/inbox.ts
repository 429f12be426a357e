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
}

/** Writes the inbox row; false when this consumer has had the event. */
export async function applyOnce(
  tx: Tx,
  schema: string,
  consumer: string,
  event: DomainEvent,
): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO ${schema}.inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT (consumer, event_id) DO NOTHING
     RETURNING event_id`,
    [consumer, event.id],
  );
  return rows.length === 1;
}

/** The event could not be applied; retried, and in the end put with the dead letters. */
export class EventRefused extends Error {
  constructor(event: DomainEvent, failure: Failure) {
    super(`${event.type} ${event.id}: ${failure.code}: ${failure.detail}`);
  }
}

/** Gives one event to the subscriptions that want it, each in its own transaction. Throws when one of them failed. */
export async function deliver(
  sql: Sql,
  schema: string,
  subscriptions: readonly Subscription[],
  event: DomainEvent,
): Promise<void> {
  const from = event.source.split("/").at(-1);
  for (const subscription of subscriptions) {
    if (subscription.from !== from || !subscription.types.includes(event.type)) continue;
    await sql.transaction(async (tx) => {
      if (!(await applyOnce(tx, schema, subscription.consumer, event))) return;
      const outcome = await subscription.handle(tx, event);
      if (typeof outcome === "object") throw new EventRefused(event, outcome);
    });
  }
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
