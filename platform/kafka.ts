import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { type Admin, type Consumer, type ISocketFactory, Kafka, logLevel, type Producer } from "kafkajs";
import { handBatch, messageOf } from "./kafkamessage.ts";
import { errorText, type Logger } from "./log.ts";
import { patiently } from "./patience.ts";

export interface KafkaMessage {
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface TopicSettings {
  readonly partitions: number;
  readonly replicas: number;
  readonly retentionHours: number;
}

/** The region's brokers as one process uses them. */
export interface KafkaBus {
  /** Sends in order, waits for all in-sync replicas; throws when that did not happen in time. */
  produce(topic: string, messages: readonly KafkaMessage[]): Promise<void>;
  /**
   * A few messages of one partition at a time, in their order; the offset moves on only after `handler` has resolved. A handler that
   * takes long calls `alive` between its tries, or the group gives its partitions to another member.
   */
  subscribe(options: {
    readonly group: string;
    readonly topics: readonly string[];
    handler(topic: string, messages: readonly KafkaMessage[], alive: () => Promise<void>): Promise<void>;
  }): Promise<() => Promise<void>>;
  /** Hands over what was in the topic when it was called and this group has not had; answers how many messages that were. */
  drain(options: {
    readonly group: string;
    readonly topic: string;
    readonly timeoutMs: number;
    handler(message: KafkaMessage): Promise<void>;
  }): Promise<number>;
  /** Makes what is missing; partitions only grow. */
  ensureTopics(topics: readonly string[], settings: TopicSettings): Promise<void>;
  removeTopics(topics: readonly string[]): Promise<void>;
  isHealthy(): boolean;
  close(): Promise<void>;
}

export interface KafkaOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly log: Logger;
  /** Opens the connection to a broker; default: plain TCP. For tests that cut the line. */
  dial?(host: string, port: number): Socket;
}

const SEND_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** kafkajs stops for good after its own retries; the way back is a new consumer, made by `keepRunning`. */
const RESTART_MAX_MS = 10_000;
/** Partitions that one consumer works on at once: a slow event holds up its own partition only. */
const PARTITIONS_AT_ONCE = 4;
const CONSUMER = {
  allowAutoTopicCreation: false,
  sessionTimeout: 10_000,
  // How long a rebalance waits for a member that is busy with a message.
  rebalanceTimeout: 15_000,
  heartbeatInterval: 2_000,
  // An empty topic costs one request in so long; what arrives meanwhile is handed over at once.
  maxWaitTimeInMs: 1_000,
} as const;

/** Connects when first used. The producer is idempotent: the broker drops what it has seen (kafkajs `idempotent`). */
export function createKafka(options: KafkaOptions): KafkaBus {
  const { brokers, clientId, log, dial } = options;
  restIdleConnections();
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    connectionTimeout: 2_000,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 1_000 },
    logLevel: logLevel.ERROR,
    ...(dial ? { socketFactory: dialer(dial) } : {}),
    logCreator: () => (entry) => log.debug({ kafka: entry.log.message }, "kafka client"),
  });
  let producer: Promise<Producer> | undefined;
  let healthy = true;
  const stops = new Set<() => Promise<void>>();

  function connectedProducer(): Promise<Producer> {
    if (producer) return producer;
    const made = (async () => {
      const fresh = kafka.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
      });
      await fresh.connect();
      return fresh;
    })();
    producer = made;
    made.catch(() => {
      if (producer === made) producer = undefined;
    });
    return made;
  }

  async function dropProducer(): Promise<void> {
    const old = producer;
    producer = undefined;
    await old?.then((connected) => connected.disconnect()).catch(() => undefined);
  }

  async function withAdmin<T>(fn: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = kafka.admin();
    await admin.connect();
    try {
      return await fn(admin);
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  return {
    isHealthy: () => healthy,
    async produce(topic, messages) {
      try {
        const sending = connectedProducer().then((connected) =>
          connected.send({
            topic,
            acks: -1,
            timeout: SEND_TIMEOUT_MS,
            messages: messages.map((message) => ({ ...message })),
          }),
        );
        await within(sending, SEND_TIMEOUT_MS);
        healthy = true;
      } catch (error) {
        healthy = false;
        await dropProducer();
        throw error;
      }
    },
    async subscribe({ group, topics, handler }) {
      const stop = keepRunning(kafka, { group, topics, handler, log });
      stops.add(stop);
      return async () => {
        stops.delete(stop);
        await stop();
      };
    },
    async drain(options) {
      const ends = await withAdmin((admin) => waitingIn(admin, options.topic, options.group));
      return drainTo(kafka, ends, options);
    },
    ensureTopics: (topics, settings) => withAdmin((admin) => ensure(admin, topics, settings)),
    removeTopics: (topics) =>
      withAdmin(async (admin) => {
        const existing = new Set(await admin.listTopics());
        const doomed = topics.filter((topic) => existing.has(topic));
        if (doomed.length > 0) await admin.deleteTopics({ topics: doomed, timeout: REQUEST_TIMEOUT_MS });
      }),
    async close() {
      await Promise.all([...stops].map((stop) => stop()));
      await dropProducer();
    },
  };
}

/**
 * The first broker that answers anything; throws what the first of the list did when none has, after at most twice
 * `timeoutMs`. All are asked at once: one that is silent does not hold up the others.
 */
export async function answeringBroker(
  { brokers, clientId, dial }: Pick<KafkaOptions, "brokers" | "clientId" | "dial">,
  timeoutMs: number,
): Promise<string> {
  restIdleConnections();
  const ask = async (broker: string): Promise<string> => {
    const admin = new Kafka({
      clientId,
      brokers: [broker],
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      retry: { retries: 0 },
      logLevel: logLevel.NOTHING,
      ...(dial ? { socketFactory: dialer(dial) } : {}),
    }).admin();
    try {
      await admin.connect();
      return broker;
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  };
  try {
    return await Promise.any(brokers.map(ask));
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

/** kafkajs wants to be called back when the connection stands. */
function dialer(dial: NonNullable<KafkaOptions["dial"]>): ISocketFactory {
  return ({ host, port, onConnect }) => dial(host, port).once("connect", onConnect);
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
}

const resting = new WeakSet<object>();

/**
 * In kafkajs 2.2.4 each connection looks for waiting requests every millisecond for as long as it lives, whether there are any or not,
 * by a timer with a negative time that Node 24 warns of. No setting ends that. Here it looks only when a
 * request waits or the broker has asked for a pause; a request that comes later is looked at when it is put in the queue.
 */
function restIdleConnections(): void {
  const { prototype } = createRequire(import.meta.url)("kafkajs/src/network/requestQueue") as {
    prototype: RequestQueue;
  };
  if (resting.has(prototype)) return;
  resting.add(prototype);
  const look = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) look.call(this);
  };
}

interface Subscribed {
  readonly group: string;
  readonly topics: readonly string[];
  readonly log: Logger;
  handler(topic: string, messages: readonly KafkaMessage[], alive: () => Promise<void>): Promise<void>;
}

function keepRunning(kafka: Kafka, options: Subscribed): () => Promise<void> {
  const { group, topics, handler, log } = options;
  let stopped = false;
  let consumer: Consumer | undefined;
  let wake: (() => void) | undefined;

  async function runOnce(): Promise<void> {
    const fresh = kafka.consumer({
      ...CONSUMER,
      groupId: group,
      retry: { retries: 3, restartOnFailure: async () => false },
    });
    consumer = fresh;
    const crashed = new Promise<void>((resolve) => {
      fresh.on(fresh.events.CRASH, () => resolve());
      fresh.on(fresh.events.STOP, () => resolve());
    });
    await fresh.connect();
    if (stopped) return;
    await fresh.subscribe({ topics: [...topics], fromBeginning: true });
    if (stopped) return;
    await fresh.run({
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => handBatch(payload, handler),
    });
    // Whoever stops while this connects finds nothing to disconnect yet.
    if (stopped) return;
    await crashed;
  }

  async function loop(): Promise<void> {
    let delayMs = 250;
    while (!stopped) {
      const startedAtMs = Date.now();
      try {
        await runOnce();
      } catch (error) {
        log.warn({ group, error: errorText(error) }, "a kafka consumer stopped; it starts again");
      }
      await consumer?.disconnect().catch(() => undefined);
      if (stopped) return;
      delayMs = Date.now() - startedAtMs > 60_000 ? 250 : Math.min(RESTART_MAX_MS, delayMs * 2);
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, delayMs);
      });
    }
  }

  const running = loop();
  return async () => {
    stopped = true;
    wake?.();
    await consumer?.disconnect().catch(() => undefined);
    await running;
  };
}

/** For each partition the offset behind its last message, where this group has not got there yet. */
async function waitingIn(admin: Admin, topic: string, group: string): Promise<Map<number, number>> {
  const [offsets, [had]] = await Promise.all([
    admin.fetchTopicOffsets(topic),
    // A broker that has just begun answers "not yet", and kafkajs leaves trying again to whoever asked.
    patiently(
      () => admin.fetchOffsets({ groupId: group, topics: [topic] }),
      (error) => (error as { retriable?: boolean }).retriable === true,
    ),
  ]);
  const next = new Map(had?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  return new Map(
    offsets
      .filter(({ partition, low, high }) => Number(high) > Math.max(Number(low), next.get(partition) ?? 0))
      .map(({ partition, high }) => [partition, Number(high)]),
  );
}

async function drainTo(
  kafka: Kafka,
  ends: Map<number, number>,
  options: {
    readonly group: string;
    readonly topic: string;
    readonly timeoutMs: number;
    handler(message: KafkaMessage): Promise<void>;
  },
): Promise<number> {
  const { group, topic, timeoutMs, handler } = options;
  if (ends.size === 0) return 0;
  const consumer = kafka.consumer({
    ...CONSUMER,
    groupId: group,
    retry: { retries: 3, restartOnFailure: async () => false },
  });
  let count = 0;
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const drained = new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      consumer
        .run({
          autoCommit: false,
          eachMessage: async ({ partition, message }) => {
            const end = ends.get(partition);
            if (end === undefined) return;
            await handler(messageOf(message));
            count++;
            const next = Number(message.offset) + 1;
            await consumer.commitOffsets([{ topic, partition, offset: String(next) }]);
            if (next >= end) ends.delete(partition);
            if (ends.size === 0) resolve();
          },
        })
        .catch(reject);
    });
    await within(drained, timeoutMs);
  } finally {
    await consumer.disconnect().catch(() => undefined);
  }
  return count;
}

async function ensure(admin: Admin, topics: readonly string[], settings: TopicSettings): Promise<void> {
  const { partitions, replicas, retentionHours } = settings;
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((topic) => !existing.has(topic));
  if (missing.length > 0)
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map((topic) => ({
        topic,
        numPartitions: topic.endsWith(".dlq") ? 1 : partitions,
        replicationFactor: replicas,
        configEntries: [
          { name: "retention.ms", value: String(retentionHours * 3_600_000) },
          ...(replicas >= 3 ? [{ name: "min.insync.replicas", value: "2" }] : []),
        ],
      })),
    });
  const present = topics.filter((topic) => existing.has(topic) && !topic.endsWith(".dlq"));
  if (present.length === 0) return;
  const metadata = await admin.fetchTopicMetadata({ topics: present });
  const small = metadata.topics.filter((topic) => topic.partitions.length < partitions);
  if (small.length > 0)
    await admin.createPartitions({
      topicPartitions: small.map(({ name }) => ({ topic: name, count: partitions })),
    });
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`kafka did not answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
