import { randomUUID } from "node:crypto";
import { type KubeLog, type KubeMetrics, type KubeTime, sleep, systemTime } from "./ports.ts";
import { createWorkQueue, type WorkQueue } from "./queue.ts";
import type { Priority } from "./ready.ts";

export interface ReconcileResult {
  /** Run again after this long even if nothing changes. */
  readonly requeueAfterMs?: number;
  /** Run again with the key's exponential backoff. */
  readonly retry?: boolean;
}

/** Run again after the shortest of these waits; undefined is none. */
export function soonest(...waitsMs: readonly (number | undefined)[]): ReconcileResult {
  const known = waitsMs.filter((waitMs) => waitMs !== undefined);
  return known.length === 0 ? {} : { requeueAfterMs: Math.min(...known) };
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
  enqueue(key: string, priority?: Priority): void;
  /** Works until the signal aborts, then lets running reconciles end. A controller runs once. */
  run(signal: AbortSignal): Promise<void>;
}

/** The buckets of controller-runtime up to a minute, thinned out where nobody looks. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2, 5, 10, 30, 60];

/** Makes a controller: N workers over one queue. A key that throws is repeated with its own backoff and delays no other. */
export function createController(options: ControllerOptions): Controller {
  const { name, log, workers = 4, timeoutMs = 60_000, drainMs = 30_000, time = systemTime } = options;
  const queue = options.queue ?? createWorkQueue({ name, metrics: options.metrics, time });
  const metrics = controllerMetrics(options.metrics, name);
  let active = 0;

  async function reconcileOnce(key: string, stopping: AbortSignal): Promise<void> {
    const timeout = new AbortController();
    const cancel = time.setTimer(timeoutMs, () => timeout.abort(new Error("the reconcile took too long")));
    const reconcileId = randomUUID();
    const startedMs = time.monotonicMs();
    metrics.active(++active);
    try {
      const signal = AbortSignal.any([timeout.signal, stopping]);
      const result = (await options.reconcile(key, { signal, reconcileId })) ?? {};
      settle(key, result);
    } catch (error) {
      fail(key, error, reconcileId, timeout.signal.aborted);
    } finally {
      cancel();
      metrics.active(--active);
      metrics.seconds((time.monotonicMs() - startedMs) / 1000);
      queue.done(key);
    }
  }

  function settle(key: string, result: ReconcileResult): void {
    if (result.retry === true) {
      metrics.result("requeue");
      queue.addRateLimited(key);
      return;
    }
    queue.forget(key);
    metrics.result(result.requeueAfterMs === undefined ? "success" : "requeue_after");
    if (result.requeueAfterMs !== undefined) queue.addAfter(key, result.requeueAfterMs);
  }

  function fail(key: string, error: unknown, reconcileId: string, timedOut: boolean): void {
    const said = error instanceof Error ? error.message : String(error);
    metrics.result("error");
    metrics.error({ terminal: error instanceof TerminalError, timedOut, panic: isBug(error) });
    if (error instanceof TerminalError) {
      log.error({ controller: name, key, reconcileId, error: said }, "a reconcile failed for good");
      queue.forget(key);
      return;
    }
    const delayMs = queue.addRateLimited(key);
    const stack = error instanceof Error ? error.stack : undefined;
    log.error(
      { controller: name, key, reconcileId, error: said, stack, delayMs },
      "a reconcile failed; it is repeated",
    );
  }

  async function work(taking: AbortSignal, stopping: AbortSignal): Promise<void> {
    for (;;) {
      const key = await queue.take(taking);
      if (key === undefined) return;
      await reconcileOnce(key, stopping);
    }
  }

  return {
    queue,
    enqueue: (key, priority) => queue.add(key, priority),
    async run(signal) {
      const stopping = new AbortController();
      metrics.workers(workers);
      const running = Promise.all(Array.from({ length: workers }, () => work(signal, stopping.signal)));
      const drained = new AbortController();
      const deadline = (async () => {
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          else signal.addEventListener("abort", () => resolve(), { once: true });
        });
        await sleep(time, drainMs, drained.signal);
        stopping.abort(new Error("the controller is stopping"));
      })();
      await running;
      // Delays that still wait would keep the process alive for nothing.
      queue.shutDown();
      drained.abort();
      await deadline;
    },
  };
}

/** What Go would call a panic: an error that the language raises, or a thrown value that is no error at all. */
function isBug(error: unknown): boolean {
  return (
    !(error instanceof Error) || [TypeError, ReferenceError, RangeError].some((bug) => error instanceof bug)
  );
}

function controllerMetrics(metrics: KubeMetrics, controller: string) {
  const total = "Total number of reconciliations per controller";
  const results = metrics.counter("controller_runtime_reconcile_total", total, ["controller", "result"]);
  const errors = metrics.counter(
    "controller_runtime_reconcile_errors_total",
    "Total number of reconciliation errors per controller",
    ["controller"],
  );
  const terminal = metrics.counter(
    "controller_runtime_terminal_reconcile_errors_total",
    "Total number of terminal reconciliation errors per controller",
    ["controller"],
  );
  const panics = metrics.counter(
    "controller_runtime_reconcile_panics_total",
    "Total number of reconciliation panics per controller",
    ["controller"],
  );
  const timeouts = metrics.counter(
    "controller_runtime_reconcile_timeouts_total",
    "Total number of reconciliation timeouts per controller",
    ["controller"],
  );
  const seconds = metrics.histogram(
    "controller_runtime_reconcile_time_seconds",
    "Length of time per reconciliation per controller",
    SECONDS,
    ["controller"],
  );
  const workers = metrics.gauge(
    "controller_runtime_max_concurrent_reconciles",
    "Maximum number of concurrent reconciles per controller",
    ["controller"],
  );
  const active = metrics.gauge(
    "controller_runtime_active_workers",
    "Number of currently used workers per controller",
    ["controller"],
  );
  return {
    result: (result: string) => results.inc({ controller, result }),
    error(what: { terminal: boolean; timedOut: boolean; panic: boolean }) {
      errors.inc({ controller });
      if (what.terminal) terminal.inc({ controller });
      if (what.timedOut) timeouts.inc({ controller });
      if (what.panic) panics.inc({ controller });
    },
    seconds: (value: number) => seconds.observe({ controller }, value),
    workers: (value: number) => workers.set({ controller }, value),
    active: (value: number) => active.set({ controller }, value),
  };
}
