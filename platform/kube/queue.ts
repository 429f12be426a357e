import type { KubeMetrics, KubeTime } from "./ports.ts";

/**
 * A set of keys waiting for work. A key added while it is worked on is handed out again afterwards; no two
 * workers ever hold one key.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Adds the key after the delay; of several delays for one key the earliest wins. */
  addAfter(key: string, delayMs: number): void;
  /** Adds the key after its own exponential backoff and returns that delay. */
  addRateLimited(key: string): number;
  /** Resets the key's backoff; call it after success. */
  forget(key: string): void;
  /** How often the key was added rate-limited since it was last forgotten. */
  retries(key: string): number;
  /** Waits for a key; undefined once the queue is shut down or the signal aborts. */
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

export declare function createWorkQueue(options: WorkQueueOptions): WorkQueue;
