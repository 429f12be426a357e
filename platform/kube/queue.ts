import { type CancelTimer, type KubeMetrics, type KubeTime, systemTime } from "./ports.ts";
import { queueMetrics } from "./queuemetrics.ts";
import { createReadyList, type Priority } from "./ready.ts";

/**
 * A set of keys waiting for work. A key added while it is worked on is handed out again afterwards; no two
 * workers ever hold one key.
 */
export interface WorkQueue {
  /** Default priority is normal; a key that waits with low priority is lifted when it is added again. */
  add(key: string, priority?: Priority): void;
  /** Adds the key after the delay; of several delays for one key the earliest wins. */
  addAfter(key: string, delayMs: number): void;
  /** Adds the key after its own exponential backoff and returns that delay. */
  addRateLimited(key: string): number;
  /** Resets the key's backoff; call it after success. */
  forget(key: string): void;
  /** How often the key was added rate-limited since it was last forgotten. */
  retries(key: string): number;
  /** Waits for a key; undefined once the queue is shut down and empty, or the signal aborts. */
  take(signal?: AbortSignal): Promise<string | undefined>;
  /** Must be called for every key taken. */
  done(key: string): void;
  /** Keys ready to be taken. */
  readonly length: number;
  /** Keys waiting for a delay. */
  readonly delayed: number;
  /** Keys being worked on. */
  readonly processing: number;
  /** Wakes every taker with undefined and refuses further keys. */
  shutDown(): void;
}

export interface WorkQueueOptions {
  readonly name: string;
  readonly metrics: KubeMetrics;
  readonly time?: KubeTime;
  /** First backoff of a failing key, default 5 ms. */
  readonly backoffMinMs?: number;
  /** Longest backoff, default 1000 s. */
  readonly backoffMaxMs?: number;
  /** Distinct keys known at once, default 100,000; one more throws, since dropping work silently is worse. */
  readonly maxKeys?: number;
}

/** How often the metrics of running work are brought up to date. */
const UNFINISHED_EVERY_MS = 500;

/** Makes an empty queue. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, time = systemTime, backoffMinMs = 5, backoffMaxMs = 1_000_000, maxKeys = 100_000 } = options;
  const metrics = queueMetrics(options.metrics, name);
  const ready = createReadyList();
  /** Keys that wait in `ready`, or that will go there when their worker is done. */
  const dirty = new Map<string, { readonly sinceMs: number; priority: Priority }>();
  const processing = new Map<string, number>();
  const timers = new Map<string, { dueMs: number; cancel: CancelTimer }>();
  const failures = new Map<string, number>();
  const takers = new Set<() => void>();
  let isShutDown = false;
  let stopWatching: CancelTimer | undefined;

  function makeRoom(key: string): void {
    if (dirty.has(key) || processing.has(key) || timers.has(key)) return;
    if (dirty.size + processing.size + timers.size >= maxKeys)
      throw new Error(`queue ${name} is full: ${maxKeys} keys are known`);
  }

  function wakeOne(): void {
    const [first] = takers;
    if (first === undefined) return;
    takers.delete(first);
    first();
  }

  function tellDepth(): void {
    metrics.depth("normal", ready.depth("normal"));
    metrics.depth("low", ready.depth("low"));
  }

  function makeReady(key: string, priority: Priority): void {
    ready.push(key, priority, time.monotonicMs());
    tellDepth();
    wakeOne();
  }

  function add(key: string, priority: Priority = "normal"): void {
    if (isShutDown) return;
    const known = dirty.get(key);
    if (known !== undefined) {
      if (priority === "low" || known.priority === "normal") return;
      known.priority = "normal";
      ready.promote(key, time.monotonicMs());
      tellDepth();
      return;
    }
    makeRoom(key);
    metrics.adds();
    dirty.set(key, { sinceMs: time.monotonicMs(), priority });
    if (!processing.has(key)) makeReady(key, priority);
  }

  function addAfter(key: string, delayMs: number): void {
    if (isShutDown) return;
    if (delayMs <= 0) {
      add(key);
      return;
    }
    const dueMs = time.monotonicMs() + delayMs;
    const waiting = timers.get(key);
    if (waiting !== undefined && waiting.dueMs <= dueMs) return;
    makeRoom(key);
    waiting?.cancel();
    const cancel = time.setTimer(delayMs, () => {
      timers.delete(key);
      add(key);
    });
    timers.set(key, { dueMs, cancel });
  }

  function next(): string | undefined {
    const nowMs = time.monotonicMs();
    const key = ready.shift(nowMs);
    if (key === undefined) return undefined;
    metrics.waited((nowMs - (dirty.get(key)?.sinceMs ?? nowMs)) / 1000);
    tellDepth();
    dirty.delete(key);
    processing.set(key, nowMs);
    watchWork();
    return key;
  }

  /** Work that hangs shows while it hangs, not only when it ends. */
  function watchWork(): void {
    if (stopWatching !== undefined || processing.size === 0) return;
    stopWatching = time.setTimer(UNFINISHED_EVERY_MS, () => {
      stopWatching = undefined;
      tellUnfinished();
      watchWork();
    });
  }

  function tellUnfinished(): void {
    const nowMs = time.monotonicMs();
    const ages = [...processing.values()].map((startedMs) => (nowMs - startedMs) / 1000);
    metrics.unfinished(
      ages.reduce((sum, age) => sum + age, 0),
      Math.max(0, ...ages),
    );
  }

  return {
    add,
    addAfter,
    addRateLimited(key) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      metrics.retries();
      const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(count, 40));
      addAfter(key, delayMs);
      return delayMs;
    },
    forget: (key) => void failures.delete(key),
    retries: (key) => failures.get(key) ?? 0,
    async take(signal) {
      for (;;) {
        if (signal?.aborted) {
          // The wake-up that came to us belongs to another taker now.
          if (ready.length > 0) wakeOne();
          return undefined;
        }
        const key = next();
        if (key !== undefined) return key;
        if (isShutDown) return undefined;
        await new Promise<void>((resolve) => {
          const wake = () => {
            takers.delete(wake);
            signal?.removeEventListener("abort", wake);
            resolve();
          };
          takers.add(wake);
          signal?.addEventListener("abort", wake, { once: true });
        });
      }
    },
    done(key) {
      const startedMs = processing.get(key);
      if (startedMs === undefined) throw new Error(`queue ${name}: ${key} is done but was not taken`);
      processing.delete(key);
      metrics.worked((time.monotonicMs() - startedMs) / 1000);
      if (processing.size === 0) {
        stopWatching?.();
        stopWatching = undefined;
        tellUnfinished();
      }
      const again = dirty.get(key);
      if (again !== undefined) makeReady(key, again.priority);
    },
    get length() {
      return ready.length;
    },
    get delayed() {
      return timers.size;
    },
    get processing() {
      return processing.size;
    },
    shutDown() {
      isShutDown = true;
      for (const { cancel } of timers.values()) cancel();
      timers.clear();
      for (const wake of [...takers]) wake();
    },
  };
}
