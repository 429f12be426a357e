import { type DomainEvent, makeEvent, type NewEvent, topicOf, toWire } from "./events.ts";
import type { KafkaBus } from "./kafka.ts";
import { errorText, type Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { SliceName } from "./slices.ts";
import type { Sql, Tx } from "./sql.ts";
import { traceHeaders, withRemoteTrace } from "./tracing.ts";
import { holdLease } from "./workerlease.ts";

/** Appends an event in the transaction that makes it true. */
export async function appendEvent(tx: Tx, schema: string, event: NewEvent): Promise<void> {
  await tx.query(
    `INSERT INTO ${schema}.outbox (type, subject, version, data, traceparent) VALUES ($1, $2, $3, $4, $5)`,
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
  await tx.query(
    `INSERT INTO ${schema}.outbox (type, subject, version, data, traceparent)
     SELECT t, s, v, d::JSONB, p FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[], $5::TEXT[]) AS n (t, s, v, d, p)`,
    [
      events.map((event) => event.type),
      events.map((event) => event.subject),
      events.map((event) => event.version),
      events.map((event) => JSON.stringify(event.data)),
      events.map((event) => event.traceparent ?? null),
    ],
  );
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

const LEASE_SECONDS = 10;

/**
 * Moves events from the outbox to Kafka: reads what is unsent, sends, then deletes. Killed between sending and
 * deleting it sends again, which the inbox of each consumer takes once. One relay for each schema works at a time,
 * so that one aggregate's events leave in order. Returns how many were moved in this round.
 */
export function createRelay(options: RelayOptions): () => Promise<number> {
  const { center, slice, holder, sql, kafka, bypass, log, metrics, batch = 100 } = options;
  const topic = topicOf(center, slice);
  const sent = metrics.counter("outbox_sent_total", "Events that left the outbox.", ["way"]);
  const waiting = metrics.gauge("outbox_waiting", "Events seen waiting in the outbox in the last round.");
  let kafkaDownUntilMs = 0;

  async function send(rows: readonly OutboxRow[]): Promise<"kafka" | "bypass" | undefined> {
    const events = rows.map((row) => toEvent(row, `${center}/${slice}`));
    if (Date.now() >= kafkaDownUntilMs) {
      try {
        await kafka.produce(topic, events.map(toWire));
        return "kafka";
      } catch (error) {
        kafkaDownUntilMs = Date.now() + 5_000;
        log.warn(
          { topic, error: errorText(error) },
          "kafka did not take events; siblings are asked directly",
        );
      }
    }
    for (const event of events) {
      const headers = event.traceparent === undefined ? {} : { traceparent: event.traceparent };
      if (!(await withRemoteTrace(headers, `bypass ${event.type}`, () => bypass(event), "producer")))
        return undefined;
    }
    return "bypass";
  }

  return async () => {
    if (!(await holdLease(sql, slice, "relay", holder, LEASE_SECONDS))) return 0;
    const rows = await sql.query<OutboxRow>(
      `SELECT id, type, subject, version, data, traceparent, created_at FROM ${slice}.outbox
       ORDER BY created_at, version, id LIMIT $1`,
      [batch],
    );
    waiting.set({}, rows.length);
    if (rows.length === 0) return 0;
    const way = await send(rows);
    if (way === undefined) return 0;
    await sql.query(`DELETE FROM ${slice}.outbox WHERE id = ANY($1)`, [rows.map((row) => row.id)]);
    sent.inc({ way }, rows.length);
    return rows.length;
  };
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
