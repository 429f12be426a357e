import type { KubeTime } from "./ports.ts";

/** Why a watch was cut from our side. */
export type CutCause = "stopped" | "silent";

/** Aborts a watch on which nothing has been heard for too long, or that is asked to stop. */
export function createWatchdog(silenceMs: number, time: KubeTime, outer: AbortSignal) {
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
  return {
    signal: controller.signal,
    alive() {
      cancel();
      cancel = time.setTimer(silenceMs, bark);
    },
    bark,
    /** Undefined while it has not been cut. */
    cause(): CutCause | undefined {
      if (outer.aborted) return "stopped";
      return silent ? "silent" : undefined;
    },
    /** Also closes the connection of a watch that we leave early. */
    release() {
      cancel();
      outer.removeEventListener("abort", stop);
      controller.abort();
    },
  };
}

export interface BackoffLimits {
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Backoff starts again from its minimum after this long without a failure. */
  readonly backoffResetMs: number;
}

/** Exponential pause with jitter that forgets old failures. */
export function createBackoff(limits: BackoffLimits, time: KubeTime, random: () => number) {
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
