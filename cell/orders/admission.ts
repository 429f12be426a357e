import type { Clock } from "../../platform/clock.ts";

/** Lets through at most `perMinute` orders a minute, in bursts of up to ten seconds' worth. */
export interface Admission {
  /** Takes a place when there is one. */
  admit(): boolean;
  /** Whether there is one now. */
  admitting(): boolean;
}

const BURST_SECONDS = 10;

/** A token bucket of this process; with n replicas a cell lets through n times as many. */
export function createAdmission(perMinute: number, clock: Clock): Admission {
  const capacity = Math.max(1, (perMinute / 60) * BURST_SECONDS);
  let tokens = capacity;
  let filledAtMs = clock.nowMs();

  function fill(): void {
    const nowMs = clock.nowMs();
    tokens = Math.min(capacity, tokens + (Math.max(0, nowMs - filledAtMs) * perMinute) / 60_000);
    filledAtMs = nowMs;
  }

  return {
    admit() {
      fill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    admitting() {
      fill();
      return tokens >= 1;
    },
  };
}
