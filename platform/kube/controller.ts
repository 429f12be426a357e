import type { KubeLog, KubeMetrics, KubeTime } from "./ports.ts";
import type { WorkQueue } from "./queue.ts";

export interface ReconcileResult {
  /** Run again after this long even if nothing changes. */
  readonly requeueAfterMs?: number;
  /** Run again with the key's exponential backoff. */
  readonly retry?: boolean;
}

/** Thrown by a reconcile whose repetition cannot help: logged and counted, not retried. */
export class TerminalError extends Error {}

export interface ControllerOptions {
  readonly name: string;
  readonly reconcile: (
    key: string,
    context: ReconcileContext,
  ) => Promise<ReconcileResult | undefined> | Promise<void>;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  /** Parallel keys, default 4. */
  readonly workers?: number;
  /** One reconcile, default 60 s; its signal aborts then. */
  readonly timeoutMs?: number;
  /** How long a stop waits for running reconciles, default 30 s. */
  readonly drainMs?: number;
  readonly time?: KubeTime;
  readonly queue?: WorkQueue;
}

export interface ReconcileContext {
  /** Aborts on timeout and when the drain of a stop runs out. */
  readonly signal: AbortSignal;
  readonly reconcileId: string;
}

export interface Controller {
  readonly queue: WorkQueue;
  enqueue(key: string): void;
  /** Works until the signal aborts, then lets running reconciles end. */
  run(signal: AbortSignal): Promise<void>;
}

export declare function createController(options: ControllerOptions): Controller;
