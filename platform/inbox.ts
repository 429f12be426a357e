import type { DomainEvent } from "./events.ts";
import { createGroup } from "./group.ts";
import type { Failure } from "./problem.ts";
import type { SliceName } from "./slices.ts";
import type { Sql, Tx } from "./sql.ts";
import { inTraceOf } from "./tracing.ts";

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
  /** The same for several events, in the order of their partitions, none of which was had before; what it throws is told of all of them. */
  handleAll?(tx: Tx, events: readonly DomainEvent[]): Promise<void>;
}

/** One event for one consumer. */
interface Due {
  readonly consumer: string;
  readonly event: DomainEvent;
}

const keyOf = (consumer: string, eventId: string) => `${consumer} ${eventId}`;

/** Writes the inbox rows; answers whether a consumer has not had an event, once for each. */
async function applyOnce(tx: Tx, schema: string, due: readonly Due[]): Promise<(one: Due) => boolean> {
  const rows = await tx.query<{ consumer: string; event_id: string }>(
    `INSERT INTO ${schema}.inbox (consumer, event_id) SELECT n.consumer, n.id FROM unnest($1::TEXT[], $2::TEXT[]) AS n (consumer, id)
     ON CONFLICT (consumer, event_id) DO NOTHING RETURNING consumer, event_id`,
    [due.map(({ consumer }) => consumer), due.map(({ event }) => event.id)],
  );
  const fresh = new Set(rows.map(({ consumer, event_id }) => keyOf(consumer, event_id)));
  // An event that came twice is applied where it came first.
  return ({ consumer, event }) => fresh.delete(keyOf(consumer, event.id));
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
  for (const { wanting, events } of runsOf(subscriptions, [event]))
    for (const subscription of wanting)
      await sql.transaction((tx) => applyAll(tx, schema, [{ wanting: [subscription], events }]));
}

/** Batches of one transaction at most: each is a few messages of one partition. */
const BATCHES_AT_ONCE = 16;

/**
 * Gives batches of events to the subscriptions that want them, in their order. A batch that comes while others are being applied waits, and
 * shares a transaction with those that wait with it. When one event cannot be applied, its transaction's batches all throw, and none was.
 */
export function createDelivery(
  sql: Sql,
  schema: string,
  subscriptions: readonly Subscription[],
): (events: readonly DomainEvent[]) => Promise<void> {
  const join = createGroup<readonly DomainEvent[], undefined>({
    sql,
    max: BATCHES_AT_ONCE,
    // Whoever brought a batch tries its events one by one: tries are counted there.
    retryAlone: false,
    async run(tx, batches) {
      await applyAll(tx, schema, runsOf(subscriptions, batches.flat()));
      return batches.map(() => undefined);
    },
  });
  return async (events) => {
    if (runsOf(subscriptions, events).length > 0) await join(events);
  };
}

/** Neighbours that the same subscriptions want. */
interface Run {
  readonly wanting: readonly Subscription[];
  readonly events: DomainEvent[];
}

/** What nobody wants is left out, so that it parts no neighbours. */
function runsOf(subscriptions: readonly Subscription[], events: readonly DomainEvent[]): Run[] {
  const runs: Run[] = [];
  for (const event of events) {
    const source = event.source.split("/").at(-1);
    const wanting = subscriptions.filter(({ from, types }) => from === source && types.includes(event.type));
    if (wanting.length === 0) continue;
    const last = runs.at(-1);
    const isAlike =
      last?.wanting.length === wanting.length && wanting.every((one, index) => one === last.wanting[index]);
    if (last && isAlike) last.events.push(event);
    else runs.push({ wanting, events: [event] });
  }
  return runs;
}

async function applyAll(tx: Tx, schema: string, runs: readonly Run[]): Promise<void> {
  const due = runs.flatMap(({ wanting, events }) =>
    wanting.flatMap(({ consumer }) => events.map((event) => ({ consumer, event }))),
  );
  const isFresh = await applyOnce(tx, schema, due);
  for (const { wanting, events } of runs)
    for (const subscription of wanting) {
      const { consumer } = subscription;
      await hand(
        tx,
        subscription,
        events.filter((event) => isFresh({ consumer, event })),
      );
    }
}

async function hand(
  tx: Tx,
  { handle, handleAll }: Subscription,
  events: readonly DomainEvent[],
): Promise<void> {
  if (handleAll && events.length > 1) return handleAll(tx, events);
  for (const event of events) {
    // What follows from it belongs to its own trace, not to that of whatever it shares the transaction with.
    const outcome = await inTraceOf(event.traceparent, () => handle(tx, event));
    if (typeof outcome === "object") throw new EventRefused(event, outcome);
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
