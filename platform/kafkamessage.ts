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
