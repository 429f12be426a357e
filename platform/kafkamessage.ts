import type { KafkaMessage } from "./kafka.ts";

/** What a broker handed over, as text; a message without a value is `null`. */
export function messageOf(message: {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
}): KafkaMessage {
  return {
    key: message.key?.toString("utf8") ?? "",
    value: message.value?.toString("utf8") ?? "null",
    headers: textHeaders(message.headers ?? {}),
  };
}

function textHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const text: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const single = Array.isArray(value) ? value[0] : value;
    if (Buffer.isBuffer(single) || typeof single === "string") text[name] = single.toString();
  }
  return text;
}

const MESSAGES_AT_ONCE = 32;

/** What kafkajs gives to `eachBatch`: the messages of one partition that one answer of the broker had. */
interface BatchPayload {
  readonly batch: {
    readonly topic: string;
    readonly messages: readonly (Parameters<typeof messageOf>[0] & { readonly offset: string })[];
  };
  heartbeat(): Promise<void>;
  resolveOffset(offset: string): void;
  commitOffsetsIfNecessary(): Promise<void>;
  isRunning(): boolean;
  isStale(): boolean;
}

/** Hands messages over in order, a few at once; the offset goes no further than what was handled. */
export async function handBatch(
  { batch, heartbeat, resolveOffset, commitOffsetsIfNecessary, isRunning, isStale }: BatchPayload,
  handler: (topic: string, messages: readonly KafkaMessage[], alive: () => Promise<void>) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < batch.messages.length; from += MESSAGES_AT_ONCE) {
    if (!isRunning() || isStale()) return;
    const some = batch.messages.slice(from, from + MESSAGES_AT_ONCE);
    await handler(batch.topic, some.map(messageOf), heartbeat);
    resolveOffset(some.at(-1)?.offset ?? "");
    await commitOffsetsIfNecessary();
    await heartbeat();
  }
}
