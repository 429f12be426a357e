import { type DomainEvent, makeEvent, type NewEvent, topicOf, toWire } from "./events.ts";
import type { KafkaBus } from "./kafka.ts";
import { errorText, type Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { SliceName } from "./slices.ts";
import type { Sql, Tx } from "./sql.ts";
import { traceHeaders, withRemoteTrace } from "./tracing.ts";
import { createWorkerLease } from "./workerlease.ts";

/** The mark of transactions that have appended events (`Sql.onCommit`). */
export const OUTBOX_MARK = "outbox";

/**
 * Appends an event in the transaction that makes it true. Its time is the moment of the insert, not of BEGIN: the events of one
 * aggregate are inserted one after the other, while the transactions that do it may have begun in any order.
 */
export async function appendEvent(tx: Tx, schema: string, event: NewEvent): Promise<void> {
  tx.mark?.(OUTBOX_MARK);
  await tx.query(
    `INSERT INTO ${schema}.outbox (type, subject, version, data, traceparent, created_at)
     VALUES ($1, $2, $3, $4, $5, clock_timestamp())`,
    [
      event.type,
      event.subject,
      event.version,
      JSON.stringify(event.data),
      traceHeaders().traceparent ?? null,
    ],
  );
}

/** Appends many events in one statement; each may carry the trace of the request that it came from. */
export async function appendEvents(
  tx: Tx,
  schema: string,
  events: readonly (NewEvent & { readonly traceparent?: string | undefined })[],
): Promise<void> {
  if (events.length === 0) return;
  tx.mark?.(OUTBOX_MARK);
  const here = traceHeaders().traceparent;
  await tx.query(
    `INSERT INTO ${schema}.outbox (type, subject, version, data, traceparent, created_at)
     SELECT t, s, v, d::JSONB, p, clock_timestamp() FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[], $5::TEXT[]) AS n (t, s, v, d, p)`,
    [
      events.map((event) => event.type),
      events.map((event) => event.subject),
      events.map((event) => event.version),
      events.map((event) => JSON.stringify(event.data)),
      events.map(({ traceparent: own }) => (isSameTrace(own, here) ? here : own) ?? null),
    ],
  );
}

/** Of one trace, so that the nearer span may be named as the parent. */
function isSameTrace(own: string | undefined, here: string | undefined): boolean {
  return own !== undefined && own.split("-")[1] === here?.split("-")[1];
}

/** The way around Kafka: hands the envelope to the slices that consume this topic. True when every one of them took it. */
export type Bypass = (event: DomainEvent) => Promise<boolean>;

export interface RelayOptions {
  readonly center: string;
  readonly slice: SliceName;
  /** Who this process is, for the lease. */
  readonly holder: string;
  readonly sql: Sql;
  readonly kafka: KafkaBus;
  readonly bypass: Bypass;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly batch?: number;
}

interface OutboxRow {
  id: string;
  type: string;
  subject: string;
  version: number;
  data: unknown;
  traceparent: string | null;
  created_at: Date;
}

export interface Relay {
  /** Moves up to a batch; true when there is more to be moved now. */
  round(): Promise<boolean>;
  /** Lets another process go on at once. */
  release(): Promise<void>;
}

/** A relay that was killed holds up its slice's events for so long. Two that work at once send twice, each in order: inboxes see to that. */
const LEASE_SECONDS = 3;
/** How long Kafka is left alone after it took nothing; doubled up to the greatest. */
const KAFKA_PAUSE_MS = 2_000;
const KAFKA_PAUSE_MAX_MS = 20_000;

/**
 * Moves events from the outbox to Kafka: reads what is unsent, sends, then deletes. Killed between sending and
 * deleting it sends again, which the inbox of each consumer takes once. One relay for each schema works at a time,
 * so that one aggregate's events leave in order. While Kafka takes nothing, the siblings are asked directly.
 */
export function createRelay(options: RelayOptions): Relay {
  const { center, slice, holder, sql, kafka, log, metrics, batch = 100 } = options;
  const lease = createWorkerLease({ sql, schema: slice, name: "relay", holder, seconds: LEASE_SECONDS });
  const sent = metrics.counter("outbox_sent_total", "Events that left the outbox.", ["way"]);
  const waiting = metrics.gauge("outbox_waiting", "Events seen waiting in the outbox in the last round.");
  const topic = topicOf(center, slice);
  let pauseMs = KAFKA_PAUSE_MS;
  let kafkaFromMs = 0;

  async function byKafka(events: readonly DomainEvent[]): Promise<boolean> {
    if (Date.now() < kafkaFromMs) return false;
    try {
      await kafka.produce(topic, events.map(toWire));
      pauseMs = KAFKA_PAUSE_MS;
      return true;
    } catch (error) {
      kafkaFromMs = Date.now() + pauseMs;
      pauseMs = Math.min(KAFKA_PAUSE_MAX_MS, pauseMs * 2);
      log.warn({ topic, error: errorText(error) }, "kafka did not take events; siblings are asked directly");
      return false;
    }
  }

  return {
    async round() {
      // An idle slice writes nothing, not even a lease.
      if (!lease.isFresh() && !(await isWaiting(sql, slice))) {
        waiting.set({}, 0);
        return false;
      }
      if (!(await lease.hold())) return false;
      const rows = await sql.query<OutboxRow>(
        `SELECT id, type, subject, version, data, traceparent, created_at FROM ${slice}.outbox
         ORDER BY created_at, version, id LIMIT $1`,
        [batch],
      );
      waiting.set({}, rows.length);
      if (rows.length === 0) return false;
      const events = rows.map((row) => toEvent(row, `${center}/${slice}`));
      const way = (await byKafka(events)) ? "kafka" : "bypass";
      const gone = way === "kafka" ? events.map(({ id }) => id) : await goAround(events, options.bypass);
      if (gone.length === 0) return false;
      await sql.query(`DELETE FROM ${slice}.outbox WHERE id = ANY($1)`, [gone]);
      sent.inc({ way }, gone.length);
      // What is committed from here on wakes the relay anew.
      return rows.length === batch;
    },
    release: () => lease.release(),
  };
}

async function isWaiting(sql: Sql, slice: SliceName): Promise<boolean> {
  const rows = await sql.query(`SELECT id FROM ${slice}.outbox LIMIT 1`);
  return rows.length > 0;
}

/** One after the other. An event that a sibling does not take holds up its own aggregate and nothing else. */
async function goAround(events: readonly DomainEvent[], bypass: Bypass): Promise<string[]> {
  const gone: string[] = [];
  const stuck = new Set<string>();
  for (const event of events) {
    if (stuck.has(event.subject)) continue;
    const headers = event.traceparent === undefined ? {} : { traceparent: event.traceparent };
    const taken = await withRemoteTrace(headers, `bypass ${event.type}`, () => bypass(event), "producer");
    if (taken) gone.push(event.id);
    else stuck.add(event.subject);
  }
  return gone;
}

function toEvent(row: OutboxRow, source: string): DomainEvent {
  const event = makeEvent(
    source,
    { type: row.type, subject: row.subject, version: row.version, data: row.data },
    row.created_at.toISOString(),
    row.id,
  );
  return row.traceparent === null ? event : { ...event, traceparent: row.traceparent };
}
