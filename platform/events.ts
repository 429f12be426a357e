import { z } from "zod";
import { newUuid } from "./ids.ts";
import type { SliceName } from "./slices.ts";

/** Something that has happened, as it travels: a CloudEvent (v1.0) in binary mode. */
export interface DomainEvent<T = unknown> {
  readonly id: string;
  /** Past tense with a version, such as `orders.confirmed.v1`. */
  readonly type: string;
  /** `<center>/<slice>`. */
  readonly source: string;
  /** The aggregate's id: Kafka's key, so that one aggregate's events keep their order. */
  readonly subject: string;
  readonly time: string;
  /** Counts the events of one aggregate in one topic. */
  readonly version: number;
  readonly data: T;
  readonly traceparent?: string | undefined;
}

/** An event's name with the shape of its data. */
export interface EventType<T> {
  readonly type: string;
  readonly schema: z.ZodType<T>;
  /** Checks the data; throws with what is wrong, which sends the message to the dead letters. */
  parse(data: unknown): T;
}

/** Declares an event in a contract. */
export function eventOf<T>(type: string, schema: z.ZodType<T>): EventType<T> {
  return { type, schema, parse: (data) => schema.parse(data) };
}

/** The topic of one slice of one cell. */
export function topicOf(center: string, slice: SliceName): string {
  return `cells.${center}.${slice}`;
}

/** Where a consumer's messages go that failed for good. */
export function deadLetterTopicOf(center: string, consumer: string): string {
  return `cells.${center}.${consumer}.dlq`;
}

/** The consumer group of one slice. */
export function groupOf(center: string, consumer: string): string {
  return `cells.${center}.${consumer}`;
}

/** What is appended to an outbox; the rest is filled in there. */
export interface NewEvent {
  readonly type: string;
  readonly subject: string;
  readonly version: number;
  readonly data: unknown;
}

/** Completes an event. */
export function makeEvent<T>(
  source: string,
  event: NewEvent & { data: T },
  time: string,
  id = newUuid(),
): DomainEvent<T> {
  return {
    id,
    source,
    time,
    type: event.type,
    subject: event.subject,
    version: event.version,
    data: event.data,
  };
}

export interface WireMessage {
  readonly key: string;
  readonly value: string;
  readonly headers: Record<string, string>;
}

/** To Kafka: attributes as headers, data as JSON (CloudEvents Kafka protocol binding, binary mode). */
export function toWire(event: DomainEvent): WireMessage {
  return {
    key: event.subject,
    value: JSON.stringify(event.data),
    headers: {
      ce_specversion: "1.0",
      ce_id: event.id,
      ce_type: event.type,
      ce_source: event.source,
      ce_subject: event.subject,
      ce_time: event.time,
      ce_aggregateversion: String(event.version),
      "content-type": "application/json",
      ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
    },
  };
}

const headersSchema = z.object({
  ce_id: z.string().min(1).max(200),
  ce_type: z.string().min(1).max(200),
  ce_source: z.string().min(1).max(200),
  ce_subject: z.string().min(1).max(200),
  ce_time: z.string().max(64),
  ce_aggregateversion: z.coerce.number().int().nonnegative(),
  traceparent: z.string().max(128).optional(),
});

/** From Kafka; throws when it is no event of ours. */
export function fromWire(message: { value: string; headers: Readonly<Record<string, string>> }): DomainEvent {
  const headers = headersSchema.parse(message.headers);
  return {
    id: headers.ce_id,
    type: headers.ce_type,
    source: headers.ce_source,
    subject: headers.ce_subject,
    time: headers.ce_time,
    version: headers.ce_aggregateversion,
    data: JSON.parse(message.value) as unknown,
    traceparent: headers.traceparent,
  };
}

/** The same envelope as JSON, for the way around Kafka. */
export const envelopeSchema = z.object({
  id: z.string().min(1).max(200),
  type: z.string().min(1).max(200),
  source: z.string().min(1).max(200),
  subject: z.string().min(1).max(200),
  time: z.string().max(64),
  version: z.int().nonnegative(),
  data: z.unknown(),
  traceparent: z.string().max(128).optional(),
});
