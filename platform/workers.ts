import { errorText, type Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Work that repeats in the background. */
export interface Worker {
  readonly name: string;
  readonly intervalMs: number;
  /** After a run, however often it is woken: what comes meanwhile shares the next one. Who wakes it out of its sleep waits for nothing. */
  readonly restMs?: number;
  run(signal: AbortSignal): Promise<void>;
  /** Where to ask to be woken when there is work before the interval is over. Returns the way to stop it. */
  wakeBy?(wake: () => void): () => void;
}

const FAILURE_BACKOFF_MAX_MS = 15_000;

/**
 * Runs each worker again and again, never two runs of one at once, with jitter so that replicas do not march in step.
 * A failing run is logged and repeated with backoff. Returns how to stop: it waits for the runs under way.
 */
export function startWorkers(
  workers: readonly Worker[],
  options: { log: Logger; metrics: Metrics; random?: () => number },
): () => Promise<void> {
  const { log, metrics, random = Math.random } = options;
  const stopping = new AbortController();
  const failures = metrics.counter("worker_failures_total", "Runs of a background worker that failed.", [
    "worker",
  ]);

  async function loop(worker: Worker): Promise<void> {
    let failed = 0;
    const alarm = createAlarm(stopping.signal);
    const unsubscribe = worker.wakeBy?.(alarm.ring);
    while (!stopping.signal.aborted) {
      alarm.reset();
      try {
        await worker.run(stopping.signal);
        failed = 0;
      } catch (error) {
        failed++;
        failures.inc({ worker: worker.name });
        // The first failure of a row says it all; its repetitions would only bury the rest of the log.
        if (failed === 1)
          log.warn(
            { worker: worker.name, error: errorText(error) },
            "a background worker failed; it is repeated",
          );
      }
      const backoffMs = failed === 0 ? 0 : Math.min(FAILURE_BACKOFF_MAX_MS, 100 * 2 ** Math.min(failed, 10));
      const pauseMs = worker.intervalMs * (0.9 + 0.2 * random()) + backoffMs;
      if (worker.restMs !== undefined) await pause(worker.restMs, stopping.signal);
      // What has just failed is not tried again sooner because there is more of it.
      await (failed === 0 ? alarm.sleep(pauseMs) : pause(pauseMs, stopping.signal));
    }
    unsubscribe?.();
  }

  const loops = workers.map(loop);
  return async () => {
    stopping.abort();
    await Promise.all(loops);
  };
}

/** A pause that ends early when somebody rings, also when that was while no one slept. */
function createAlarm(signal: AbortSignal) {
  let rang = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rang = true;
      wake?.();
    },
    reset() {
      rang = false;
    },
    sleep: (ms: number) =>
      rang
        ? Promise.resolve()
        : pause(ms, signal, (end) => {
            wake = end;
          }),
  };
}

function pause(ms: number, signal: AbortSignal, begun?: (end: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
    begun?.(done);
  });
}
