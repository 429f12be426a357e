import {
  type DomainEvent,
  deadLetterTopicOf,
  envelopeSchema,
  fromWire,
  groupOf,
  topicOf,
  toWire,
} from "./events.ts";
import { defineRoute, noContent, type Route } from "./http.ts";
import { createDelivery, deliver, type Subscription } from "./inbox.ts";
import type { KafkaBus, KafkaMessage } from "./kafka.ts";
import { errorText, type Logger } from "./log.ts";
import type { CounterHandle, Metrics } from "./metrics.ts";
import { fail } from "./problem.ts";
import type { SliceName } from "./slices.ts";
import type { Sql } from "./sql.ts";
import { Contended, Fenced, isDatabaseAway } from "./sqlstate.ts";
import { withRemoteTrace } from "./tracing.ts";

export interface ConsumerOptions {
  readonly center: string;
  readonly slice: SliceName;
  readonly sql: Sql;
  readonly kafka: KafkaBus;
  readonly subscriptions: readonly Subscription[];
  readonly log: Logger;
  readonly metrics: Metrics;
}

const RETRIES = 3;
const RETRY_DELAYS_MS = [100, 500, 2_000];
const AWAY_DELAY_MS = 1_000;

/**
 * Follows the topics of the siblings that the subscriptions name. An event that cannot be applied is tried three times more and then
 * put with the dead letters, so that one bad event does not hold up the rest. While the database is away nothing is given up: the
 * event waits. A copy that is fenced off leaves the group for good, and with it the events to the copy in force.
 */
export async function startConsumer(options: ConsumerOptions): Promise<() => Promise<void>> {
  const { center, slice, kafka, subscriptions } = options;
  if (subscriptions.length === 0) return async () => {};
  const topics = [...new Set(subscriptions.map(({ from }) => topicOf(center, from)))];
  const stopping = new AbortController();
  const { signal } = stopping;
  const together = createDelivery(options.sql, slice, subscriptions);
  const stop = await kafka.subscribe({
    group: groupOf(center, slice),
    topics,
    handler: (topic, messages, alive) =>
      consumeAll(options, topic, messages, { signal, alive, leave, together }),
  });
  let stopped: Promise<void> | undefined;
  function halt(): Promise<void> {
    stopping.abort();
    stopped ??= stop();
    return stopped;
  }
  function leave(): void {
    if (stopped) return;
    options.log.warn({ slice }, "a newer copy of this cell is in force; this one takes no more events");
    void halt();
  }
  return halt;
}

/** What a handler can do as a member of the consumer group. */
interface Member {
  readonly signal: AbortSignal;
  alive(): Promise<void>;
  leave(): void;
  /** Applies events with what other partitions bring at the same time. */
  together(events: readonly DomainEvent[]): Promise<void>;
}

/** Together where all can be applied; one by one, each with its tries, where one cannot. */
async function consumeAll(
  options: ConsumerOptions,
  topic: string,
  messages: readonly KafkaMessage[],
  member: Member,
): Promise<void> {
  if (await taken(options, messages, member)) return;
  for (const message of messages) {
    await consume(options, topic, message, member);
    // Several that cannot be taken wait longer together than a silent member is waited for.
    if (messages.length > 1) await member.alive();
  }
}

/** False when one of them is no event or cannot be applied now. */
async function taken(
  { metrics, log }: ConsumerOptions,
  messages: readonly KafkaMessage[],
  { together }: Member,
): Promise<boolean> {
  try {
    const events = messages.map(fromWire);
    const apply = async () => {
      await together(events);
      for (const { type, id } of events) log.debug({ type, id }, "an event was taken");
    };
    const [first, second] = events;
    await (first && !second ? inSpan(first, apply) : apply());
    const consumed = countOf(metrics);
    for (const { type } of events) consumed.inc({ type, outcome: "applied" });
    return true;
  } catch (error) {
    log.debug({ error: errorText(error), events: messages.length }, "events are taken one by one");
    return false;
  }
}

/** One event's part of its trace. */
function inSpan(event: DomainEvent, run: () => Promise<void>): Promise<void> {
  const attributes = { "messaging.message.id": event.id };
  const { traceparent } = event;
  return withRemoteTrace({ traceparent }, `consume ${event.type}`, run, "consumer", attributes);
}

function countOf(metrics: Metrics): CounterHandle {
  return metrics.counter("events_consumed_total", "Events taken from topics.", ["type", "outcome"]);
}

async function consume(
  options: ConsumerOptions,
  topic: string,
  message: KafkaMessage,
  member: Member,
): Promise<void> {
  const { sql, slice, subscriptions, metrics } = options;
  const consumed = countOf(metrics);
  let event: DomainEvent;
  try {
    event = fromWire(message);
  } catch (error) {
    await bury(options, topic, message, `not an event: ${errorText(error)}`);
    return;
  }
  // Once it was tried together with others.
  for (let tried = 1; ; tried++) {
    try {
      await inSpan(event, async () => {
        await deliver(sql, slice, subscriptions, event);
        options.log.debug({ type: event.type, id: event.id }, "an event was taken");
      });
      consumed.inc({ type: event.type, outcome: "applied" });
      return;
    } catch (error) {
      if (member.signal.aborted) throw error;
      if (error instanceof Fenced && error.superseded) {
        member.leave();
        throw error;
      }
      if (isAway(error)) {
        tried = -1;
        await sleep(AWAY_DELAY_MS);
        await member.alive();
      } else if (tried < RETRIES) {
        await sleep(RETRY_DELAYS_MS[tried] ?? 0);
      } else {
        consumed.inc({ type: event.type, outcome: "dead" });
        await bury(options, topic, message, errorText(error));
        return;
      }
    }
  }
}

/** The fault is in the store or in this copy's standing, not in the event. */
function isAway(error: unknown): boolean {
  if (error instanceof Fenced || error instanceof Contended) return true;
  return isDatabaseAway(error);
}

/**
 * Puts an event with the dead letters that this slice took and could not use in the end. Whoever calls this takes its inbox row away,
 * or a replay would pass it over. Throws while Kafka takes nothing.
 */
export function buryEvent(options: Graveyard, event: DomainEvent, reason: string): Promise<void> {
  const from = event.source.slice(event.source.indexOf("/") + 1);
  return bury(options, `cells.${options.center}.${from}`, toWire(event), reason);
}

type Graveyard = Pick<ConsumerOptions, "center" | "slice" | "kafka" | "log">;

async function bury(options: Graveyard, topic: string, message: KafkaMessage, reason: string): Promise<void> {
  const { center, slice, kafka, log } = options;
  log.error(
    { topic, key: message.key, reason },
    "an event went to the dead letters; replay it when the cause is gone",
  );
  const headers = { ...message.headers, "x-dead-topic": topic, "x-dead-reason": reason.slice(0, 500) };
  await kafka.produce(deadLetterTopicOf(center, slice), [{ ...message, headers }]);
}

/**
 * Puts the dead letters of one slice back into the topics that they came from, once each. Other consumers of those topics have their
 * inbox rows and pass them over. Answers how many went back.
 */
export async function replayDeadLetters(options: {
  readonly center: string;
  readonly slice: SliceName;
  readonly kafka: KafkaBus;
  readonly timeoutMs: number;
}): Promise<number> {
  const { center, slice, kafka, timeoutMs } = options;
  const topic = deadLetterTopicOf(center, slice);
  return kafka.drain({
    topic,
    group: `${groupOf(center, slice)}.replay`,
    timeoutMs,
    async handler({ key, value, headers }) {
      const { "x-dead-topic": origin, "x-dead-reason": _reason, ...rest } = headers;
      if (origin?.startsWith(`cells.${center}.`))
        await kafka.produce(origin, [{ key, value, headers: rest }]);
    },
  });
}

/** The way in that is used while Kafka is away: same inbox, same handlers. */
export function internalEventsRoute(options: {
  readonly slice: SliceName;
  readonly sql: Sql;
  readonly subscriptions: readonly Subscription[];
}): Route {
  const { slice, sql, subscriptions } = options;
  return defineRoute({
    method: "POST",
    path: "/internal/events",
    summary: "Takes one event directly, while Kafka is away.",
    access: "internal",
    idempotency: "none",
    body: envelopeSchema,
    responses: { 204: undefined },
    async handler({ body }) {
      try {
        await deliver(sql, slice, subscriptions, body as DomainEvent);
        return noContent();
      } catch (error) {
        return fail("unavailable", `The event was not applied: ${errorText(error)}`);
      }
    },
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
