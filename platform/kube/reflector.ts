import type { KubeClient } from "./client.ts";
import { type ApiStatus, failureOf, type KubeFailure } from "./failures.ts";
import { createLineSplitter } from "./lines.ts";
import { type KubeObject, type ResourceRef, resourceName, stripHistory } from "./objects.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, sleep, systemTime } from "./ports.ts";
import type { WritableStore } from "./store.ts";

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly ref: ResourceRef;
  readonly store: WritableStore<T>;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Runs on each object before it is stored; default drops managedFields and last-applied. */
  readonly transform?: (object: T) => T;
  readonly time?: KubeTime;
  readonly random?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
}

/** Bounds; the defaults are those of client-go's reflector. */
export interface ReflectorLimits {
  readonly pageSize: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Backoff starts again from its minimum after this long without a failure. */
  readonly backoffResetMs: number;
  /** A watch that carries no byte for this long is cut and resumed. */
  readonly silenceMs: number;
  readonly watchMinSeconds: number;
  readonly watchMaxSeconds: number;
}

export interface Reflector {
  /** Follows the resource until the signal aborts; no failure of the server ends it. */
  run(signal: AbortSignal): Promise<void>;
  /** Milliseconds since anything was heard from the server; Infinity before the first answer. */
  ageMs(): number;
}

const LIMITS: ReflectorLimits = {
  pageSize: 500,
  backoffMinMs: 800,
  backoffMaxMs: 30_000,
  backoffResetMs: 120_000,
  silenceMs: 150_000,
  watchMinSeconds: 300,
  watchMaxSeconds: 600,
};
/** A watch that ends sooner than this without an event did not really work. */
const SHORT_WATCH_MS = 1_000;

/** Why a watch ended: `eof` is its normal end, `expired` means that only a new list helps. */
type WatchEnd =
  | { readonly kind: "stopped" | "eof" | "expired" | "silent" }
  | { readonly kind: "failed"; readonly failure: KubeFailure };

interface WatchFrame {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

/**
 * Keeps a store equal to what the API server has: one list, then watches that are resumed from the last
 * version seen. Lists again only when the server says that this version is too old.
 */
export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector {
  const { client, ref, store, log } = options;
  const time = options.time ?? systemTime;
  const random = options.random ?? Math.random;
  const limits = { ...LIMITS, ...options.limits };
  const transform = options.transform ?? stripHistory;
  const resource = resourceName(ref);
  const meters = reflectorMeters(options.metrics, resource);
  const backoff = createBackoff(limits, time, random);
  const selection = {
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
    ...(options.fieldSelector === undefined ? {} : { fieldSelector: options.fieldSelector }),
  };
  let heardAtMs = Number.NEGATIVE_INFINITY;
  const heard = () => {
    heardAtMs = time.monotonicMs();
    meters.heard(time.nowMs() / 1000);
  };

  async function relist(signal: AbortSignal): Promise<KubeFailure | undefined> {
    const listed = await client.listAll<T>(ref, {
      ...selection,
      limit: limits.pageSize,
      signal,
      attempts: 1,
    });
    if (!listed.ok) return listed;
    heard();
    meters.relisted();
    store.replace(listed.value.items.map(transform), listed.value.resourceVersion);
    return undefined;
  }

  /** Applies one frame; a returned end means that the watch is over. */
  function take(line: string): WatchEnd | undefined {
    const frame = parseFrame(line);
    if (frame === undefined) return failed("a frame of the watch is not JSON");
    if (frame.type === "ERROR") {
      const status = (frame.object ?? {}) as ApiStatus;
      const failure = failureOf(status.code ?? 500, status);
      return failure.code === "gone" ? { kind: "expired" } : { kind: "failed", failure };
    }
    const object = frame.object as T;
    if (typeof object?.metadata !== "object") return failed("a frame of the watch has no object");
    if (frame.type === "BOOKMARK") store.advance(object.metadata.resourceVersion ?? "");
    else if (frame.type === "DELETED") store.remove(transform(object));
    else store.put(transform(object));
    return undefined;
  }

  async function watchOnce(resourceVersion: string, outer: AbortSignal): Promise<WatchEnd> {
    const guard = createWatchdog(limits.silenceMs, time, outer);
    try {
      const spread = limits.watchMaxSeconds - limits.watchMinSeconds;
      const opened = await client.watch(ref, {
        ...selection,
        resourceVersion,
        timeoutSeconds: Math.round(limits.watchMinSeconds + random() * spread),
        signal: guard.signal,
      });
      if (!opened.ok) return opened.code === "gone" ? { kind: "expired" } : guard.end(opened);
      const chunks = opened.value[Symbol.asyncIterator]();
      const split = createLineSplitter();
      for (;;) {
        // Only reading may fail here: an error of a store's handler is a bug and must not pass for a lost connection.
        const read = await chunks.next().then(
          (next) => (next.done === true ? undefined : splitSafely(split, next.value)),
          (error: Error) => failed(error.message),
        );
        if (read === undefined) return guard.end() ?? { kind: "eof" };
        if (!Array.isArray(read)) return guard.end(read.failure);
        guard.alive();
        heard();
        for (const line of read) {
          const end = take(line);
          if (end !== undefined) return end;
        }
      }
    } finally {
      guard.release();
    }
  }

  async function follow(signal: AbortSignal): Promise<void> {
    let emptyEnds = 0;
    while (!signal.aborted) {
      const version = store.resourceVersion();
      if (version === undefined || version === "") return;
      const startedMs = time.monotonicMs();
      const end = await watchOnce(version, signal);
      if (end.kind === "stopped") return;
      meters.restarted(end.kind);
      if (end.kind === "expired") return;
      const moved = store.resourceVersion() !== version;
      const short = end.kind !== "silent" && time.monotonicMs() - startedMs < SHORT_WATCH_MS;
      emptyEnds = moved || !short ? 0 : emptyEnds + 1;
      if (end.kind === "failed") {
        log.warn({ resource, code: end.failure.code, reason: end.failure.message }, "watch failed, resuming");
        // The kind itself has gone (its definition was deleted): what we hold is no longer there.
        if (end.failure.code === "notFound") return;
        await sleep(time, backoff.next(end.failure.retryAfterMs), signal);
      } else if (emptyEnds > 1) await sleep(time, backoff.next(), signal);
    }
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        const failure = await relist(signal);
        if (signal.aborted) return;
        if (failure === undefined) {
          const listedMs = time.monotonicMs();
          await follow(signal);
          // Versions that expire as soon as they are listed must not make us list in a circle.
          if (time.monotonicMs() - listedMs < SHORT_WATCH_MS) await sleep(time, backoff.next(), signal);
          continue;
        }
        log.warn({ resource, code: failure.code, reason: failure.message }, "list failed, trying again");
        await sleep(time, backoff.next(failure.retryAfterMs), signal);
      }
    },
    ageMs: () => time.monotonicMs() - heardAtMs,
  };
}

function failed(message: string): { kind: "failed"; failure: KubeFailure } {
  return { kind: "failed", failure: { ok: false, code: "unavailable", message } };
}

function splitSafely(split: (chunk: Uint8Array) => string[], chunk: Uint8Array) {
  try {
    return split(chunk);
  } catch (error) {
    return failed((error as Error).message);
  }
}

function parseFrame(line: string): WatchFrame | undefined {
  try {
    const frame = JSON.parse(line) as WatchFrame;
    return typeof frame.type === "string" ? frame : undefined;
  } catch {
    return undefined;
  }
}

/** Exponential pause with jitter that forgets old failures. */
function createBackoff(limits: ReflectorLimits, time: KubeTime, random: () => number) {
  let failures = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    next(atLeastMs = 0): number {
      const nowMs = time.monotonicMs();
      failures = nowMs - lastMs > limits.backoffResetMs ? 1 : failures + 1;
      lastMs = nowMs;
      const base = Math.min(limits.backoffMinMs * 2 ** Math.min(failures - 1, 30), limits.backoffMaxMs);
      return Math.max(atLeastMs, base) * (1 + random() / 2);
    },
  };
}

/** Aborts a watch on which nothing has been heard for too long, or that is asked to stop. */
function createWatchdog(silenceMs: number, time: KubeTime, outer: AbortSignal) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  let silent = false;
  const bark = () => {
    silent = true;
    controller.abort();
  };
  let cancel = time.setTimer(silenceMs, bark);
  if (outer.aborted) stop();
  outer.addEventListener("abort", stop, { once: true });
  function end(failure: KubeFailure): WatchEnd;
  function end(): WatchEnd | undefined;
  function end(failure?: KubeFailure): WatchEnd | undefined {
    if (outer.aborted) return { kind: "stopped" };
    if (silent) return { kind: "silent" };
    return failure === undefined ? undefined : { kind: "failed", failure };
  }
  return {
    signal: controller.signal,
    alive() {
      cancel();
      cancel = time.setTimer(silenceMs, bark);
    },
    end,
    /** Also closes the connection of a watch that we leave early. */
    release() {
      cancel();
      outer.removeEventListener("abort", stop);
      controller.abort();
    },
  };
}

function reflectorMeters(metrics: KubeMetrics, resource: string) {
  const relists = metrics.counter("reflector_relists_total", "Complete lists, one at the start is normal.", [
    "resource",
  ]);
  const restarts = metrics.counter("reflector_watch_restarts_total", "Watches that ended, by cause.", [
    "resource",
    "reason",
  ]);
  const last = metrics.gauge(
    "reflector_last_heard_timestamp_seconds",
    "When anything was last heard from the API server about this resource.",
    ["resource"],
  );
  return {
    relisted: () => relists.inc({ resource }),
    restarted: (reason: string) => restarts.inc({ resource, reason }),
    heard: (seconds: number) => last.set({ resource }, seconds),
  };
}
