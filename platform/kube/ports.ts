/**
 * What the runtime needs from outside, as structural types: any logger and any metrics registry with these
 * methods fit, so that this folder can be tested and reused alone.
 */
export interface KubeLog {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** Label values of one sample. Names and values come from closed sets. */
export type KubeLabels = Record<string, string>;

export interface KubeCounter {
  inc(labels?: KubeLabels, value?: number): void;
}
export interface KubeGauge {
  set(labels: KubeLabels, value: number): void;
}
export interface KubeHistogram {
  observe(labels: KubeLabels, value: number): void;
}

/** Makes metric handles; asking twice for one name must give the same handle. */
export interface KubeMetrics {
  counter(name: string, help: string, labelNames?: string[]): KubeCounter;
  gauge(name: string, help: string, labelNames?: string[]): KubeGauge;
  histogram(name: string, help: string, buckets: number[], labelNames?: string[]): KubeHistogram;
}

/** Cancels a timer; calling it twice or after the timer fired does nothing. */
export type CancelTimer = () => void;

/** Time as an argument: `nowMs` is for the world (timestamps), `monotonicMs` for every decision about elapsed time. */
export interface KubeTime {
  /** Milliseconds since the epoch; may jump. */
  nowMs(): number;
  /** Milliseconds since some start; never goes back. */
  monotonicMs(): number;
  setTimer(delayMs: number, fire: () => void): CancelTimer;
}

/** The machine's clocks and timers. */
export const systemTime: KubeTime = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, fire) => {
    const timer = setTimeout(fire, Math.min(delayMs, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

/** A logger that says nothing, for callers that do not want one. */
export const silentLog: KubeLog = { debug() {}, info() {}, warn() {}, error() {} };

/** A registry that keeps nothing, for callers that do not want one. */
export const silentMetrics: KubeMetrics = {
  counter: () => ({ inc() {} }),
  gauge: () => ({ set() {} }),
  histogram: () => ({ observe() {} }),
};

/**
 * Resolves after `delayMs`, or at once when the signal aborts. Never rejects: callers look at the signal,
 * so that a stop is not an error.
 */
export function sleep(time: KubeTime, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = time.setTimer(delayMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
  });
}
