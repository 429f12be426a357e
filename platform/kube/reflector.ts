import type { KubeClient } from "./client.ts";
import type { KubeFailure } from "./failures.ts";
import { readFrame, readLines } from "./frames.ts";
import type { HistoryReaders } from "./history.ts";
import { type KubeObject, keyOf, type ResourceRef, resourceName, stripHistory } from "./objects.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, sleep, systemTime } from "./ports.ts";
import type { WritableStore } from "./store.ts";
import { type BackoffLimits, createBackoff, createWatchdog } from "./watchguard.ts";

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
  /** Whose fields `transform` wants to see; default everybody's when there is one, else nobody's. */
  readonly readsHistory?: HistoryReaders;
  readonly time?: KubeTime;
  readonly random?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
}

/** Bounds; the defaults are those of client-go's reflector. */
export interface ReflectorLimits extends BackoffLimits {
  readonly pageSize: number;
  /** A streamed list that takes longer than this is given up for pages: the server may not know streamed lists. */
  readonly streamedListMs: number;
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
  streamedListMs: 60_000,
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

/**
 * Keeps a store equal to what the API server has: one list, then watches that are resumed from the last
 * version seen. Lists again only when the server says that this version is too old. The list is streamed over
 * the watch that goes on after it, which costs the server no copy of the whole; one that cannot is asked for pages.
 */
export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector {
  const { client, ref, store, log } = options;
  const time = options.time ?? systemTime;
  const random = options.random ?? Math.random;
  const limits = { ...LIMITS, ...options.limits };
  const transform = options.transform ?? stripHistory;
  const { readsHistory = options.transform !== undefined } = options;
  const resource = resourceName(ref);
  const meters = reflectorMeters(options.metrics, resource);
  const backoff = createBackoff(limits, time, random);
  const selection = {
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
    ...(options.fieldSelector === undefined ? {} : { fieldSelector: options.fieldSelector }),
  };
  let heardAtMs = Number.NEGATIVE_INFINITY;
  let mustList = true;
  let canStream = true;
  let listedAtMs = Number.NEGATIVE_INFINITY;
  let emptyEnds = 0;

  const heard = () => {
    heardAtMs = time.monotonicMs();
    meters.heard(time.nowMs() / 1000);
  };
  function replace(objects: readonly T[], resourceVersion: string): void {
    meters.relisted();
    listedAtMs = time.monotonicMs();
    // Without a version there is nothing to watch from.
    mustList = resourceVersion === "";
    store.replace(objects, resourceVersion);
  }

  /** Reads the frames of one watch into the store; those of a streamed list go in at once, when it is complete. */
  function createTaker(streamed: Map<string, T> | undefined): (line: string) => WatchEnd | undefined {
    let pending = streamed;
    return (line) => {
      const event = readFrame<T>(line, readsHistory);
      if (event.kind === "expired" || event.kind === "failed") return event;
      if (event.kind === "bookmark" || event.kind === "listed") {
        if (pending === undefined) store.advance(event.resourceVersion);
        else if (event.kind === "listed") {
          replace([...pending.values()], event.resourceVersion);
          pending = undefined;
        }
        return undefined;
      }
      const object = transform(event.object);
      if (pending !== undefined) {
        if (event.kind === "put") pending.set(keyOf(object), object);
        else pending.delete(keyOf(object));
      } else if (event.kind === "deleted") store.remove(object);
      else store.put(object);
      return undefined;
    };
  }

  /** One watch from its opening to its end; without a version it begins with the streamed list. */
  async function watchOnce(resourceVersion: string | undefined, outer: AbortSignal): Promise<WatchEnd> {
    const guard = createWatchdog(limits.silenceMs, time, outer);
    const initialEvents = resourceVersion === undefined;
    const giveUpList = () => {
      if (!mustList) return;
      canStream = false;
      guard.bark();
    };
    const cancelList = initialEvents ? time.setTimer(limits.streamedListMs, giveUpList) : undefined;
    const cut = (end: WatchEnd): WatchEnd => {
      const cause = guard.cause();
      return cause === undefined ? end : { kind: cause };
    };
    try {
      const spread = limits.watchMaxSeconds - limits.watchMinSeconds;
      const opened = await client.watch(ref, {
        ...selection,
        resourceVersion: resourceVersion ?? "",
        initialEvents,
        timeoutSeconds: Math.round(limits.watchMinSeconds + random() * spread),
        signal: guard.signal,
      });
      if (!opened.ok)
        return opened.code === "gone" ? { kind: "expired" } : cut({ kind: "failed", failure: opened });
      const take = createTaker(initialEvents ? new Map() : undefined);
      const end = await readLines<WatchEnd>(opened.value, (lines) => {
        guard.alive();
        heard();
        for (const line of lines) {
          const ended = take(line);
          if (ended !== undefined) return ended;
        }
        return undefined;
      });
      return end?.kind === "expired" ? end : cut(end ?? { kind: "eof" });
    } finally {
      cancelList?.();
      guard.release();
    }
  }

  async function listPages(signal: AbortSignal): Promise<void> {
    const { pageSize: limit } = limits;
    const listed = await client.listAll<T>(ref, { ...selection, limit, signal, attempts: 1 });
    if (signal.aborted) return;
    if (listed.ok) {
      heard();
      replace(listed.value.items.map(transform), listed.value.resourceVersion);
    } else await pauseAfterList(listed, signal);
  }

  async function pauseAfterList(failure: KubeFailure, signal: AbortSignal): Promise<void> {
    log.warn({ resource, code: failure.code, reason: failure.message }, "list failed, trying again");
    await sleep(time, backoff.next(failure.retryAfterMs), signal);
  }

  /** A streamed list that did not come to its end; the version was not asked for, so it cannot have expired. */
  async function afterBrokenList(end: WatchEnd, signal: AbortSignal): Promise<void> {
    if (end.kind === "expired" || (end.kind === "failed" && end.failure.code === "invalid"))
      canStream = false;
    if (!canStream) log.info({ resource }, "the API server streams no lists: asking for pages");
    else if (end.kind === "failed") await pauseAfterList(end.failure, signal);
    else await sleep(time, backoff.next(), signal);
  }

  async function afterWatch(end: WatchEnd, lastedMs: number, moved: boolean, signal: AbortSignal) {
    meters.restarted(end.kind);
    const short = end.kind !== "silent" && lastedMs < SHORT_WATCH_MS;
    emptyEnds = moved || !short ? 0 : emptyEnds + 1;
    // Gone is the version, or the kind itself (its definition was deleted): what we hold may no longer be there.
    if (end.kind === "expired" || (end.kind === "failed" && end.failure.code === "notFound")) {
      mustList = true;
      emptyEnds = 0;
      // Versions that expire as soon as they are listed must not make us list in a circle.
      if (time.monotonicMs() - listedAtMs < SHORT_WATCH_MS) await sleep(time, backoff.next(), signal);
    } else if (end.kind === "failed") {
      log.warn({ resource, code: end.failure.code, reason: end.failure.message }, "watch failed, resuming");
      await sleep(time, backoff.next(end.failure.retryAfterMs), signal);
    } else if (emptyEnds > 1) await sleep(time, backoff.next(), signal);
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        if (mustList && !canStream) {
          await listPages(signal);
          continue;
        }
        const version = mustList ? undefined : store.resourceVersion();
        const startedMs = time.monotonicMs();
        const end = await watchOnce(version, signal);
        if (end.kind === "stopped") return;
        if (mustList) await afterBrokenList(end, signal);
        else
          await afterWatch(end, time.monotonicMs() - startedMs, store.resourceVersion() !== version, signal);
      }
    },
    ageMs: () => time.monotonicMs() - heardAtMs,
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
