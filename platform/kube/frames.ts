import { type ApiStatus, failureOf, type KubeFailure } from "./failures.ts";
import { type HistoryReaders, parseWithout } from "./history.ts";
import { createLineSplitter } from "./lines.ts";
import type { KubeObject } from "./objects.ts";

/** Marks the bookmark that ends the objects of a streamed list. */
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

/** What one frame of a watch says. `listed` is the bookmark after the last object of a streamed list. */
export type WatchEvent<T extends KubeObject> =
  | { readonly kind: "put"; readonly object: T }
  | { readonly kind: "deleted"; readonly object: T }
  | { readonly kind: "bookmark"; readonly resourceVersion: string }
  | { readonly kind: "listed"; readonly resourceVersion: string }
  | { readonly kind: "expired" }
  | { readonly kind: "failed"; readonly failure: KubeFailure };

/** A failure of the line or of what came over it. */
export function brokenWatch(message: string): { kind: "failed"; failure: KubeFailure } {
  return { kind: "failed", failure: { ok: false, code: "unavailable", message } };
}

/** Reads one frame: a line of JSON; `managedFields` are empty in it when nobody reads them. */
export function readFrame<T extends KubeObject>(line: string, isRead: HistoryReaders = true): WatchEvent<T> {
  const frame = parse(line, isRead);
  if (frame === undefined) return brokenWatch("a frame of the watch is not JSON");
  if (frame.type === "ERROR") {
    const status = (frame.object ?? {}) as ApiStatus;
    const failure = failureOf(status.code ?? 500, status);
    return failure.code === "gone" ? { kind: "expired" } : { kind: "failed", failure };
  }
  const object = frame.object as T;
  if (typeof object?.metadata !== "object") return brokenWatch("a frame of the watch has no object");
  if (frame.type !== "BOOKMARK") return { kind: frame.type === "DELETED" ? "deleted" : "put", object };
  const { resourceVersion = "", annotations } = object.metadata;
  return { kind: annotations?.[INITIAL_EVENTS_END] === "true" ? "listed" : "bookmark", resourceVersion };
}

interface Frame {
  readonly type: string;
  readonly object: unknown;
}

const objectOf = ({ object }: Frame) => object as KubeObject | undefined;

function parse(line: string, isRead: HistoryReaders): Frame | undefined {
  try {
    const frame = parseWithout<Frame>(line, objectOf, isRead);
    return typeof frame.type === "string" ? frame : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Hands the lines of a stream on, a batch for every chunk that arrives; stops early when `take` returns something.
 * Undefined at the clean end of the stream. An error of `take` is a bug and is let out: it must not pass for a
 * lost connection.
 */
export async function readLines<E>(
  stream: AsyncIterable<Uint8Array>,
  take: (lines: string[]) => E | undefined,
): Promise<E | { kind: "failed"; failure: KubeFailure } | undefined> {
  const chunks = stream[Symbol.asyncIterator]();
  const split = createLineSplitter();
  for (;;) {
    const read = await chunks.next().then(
      (next) => (next.done === true ? undefined : splitSafely(split, next.value)),
      (error: Error) => brokenWatch(error.message),
    );
    if (read === undefined || !Array.isArray(read)) return read;
    const end = take(read);
    if (end !== undefined) return end;
  }
}

function splitSafely(split: (chunk: Uint8Array) => string[], chunk: Uint8Array) {
  try {
    return split(chunk);
  } catch (error) {
    return brokenWatch((error as Error).message);
  }
}
