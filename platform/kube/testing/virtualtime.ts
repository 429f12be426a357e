import type { KubeTime } from "../ports.ts";

/** A clock that moves only when told to. */
export interface VirtualTime extends KubeTime {
  /** Moves both clocks, firing due timers in order; what they start runs before the next timer. */
  advance(elapsedMs: number): Promise<void>;
  /** Fires the next timer if it is due by `untilMs` on the monotonic clock, and lets run what it starts. */
  fireNext(untilMs?: number): Promise<boolean>;
  /** Moves the monotonic clock without firing a timer, as for a process that was stopped. */
  freeze(elapsedMs: number): void;
  /** Timers that wait. */
  readonly pending: number;
}

/** Lets everything run that waits for no timer and no socket; one turn is enough where nothing waits for the system. */
export async function settle(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Makes a clock at `startMs` since the epoch; `turns` as for settle. */
export function createVirtualTime(startMs = Date.UTC(2026, 0, 1), turns = 10): VirtualTime {
  let elapsedMs = 0;
  let order = 0;
  const timers = new Map<number, { dueMs: number; fire: () => void }>();
  const nextDue = (untilMs: number) => {
    let found: [number, { dueMs: number; fire: () => void }] | undefined;
    for (const entry of timers)
      if (entry[1].dueMs <= untilMs && (found === undefined || entry[1].dueMs < found[1].dueMs))
        found = entry;
    return found;
  };
  async function fireNext(untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    const due = nextDue(untilMs);
    if (due === undefined) return false;
    timers.delete(due[0]);
    elapsedMs = Math.max(elapsedMs, due[1].dueMs);
    due[1].fire();
    await settle(turns);
    return true;
  }
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer(delayMs, fire) {
      const id = ++order;
      timers.set(id, { dueMs: elapsedMs + delayMs, fire });
      return () => timers.delete(id);
    },
    async advance(moveMs) {
      const untilMs = elapsedMs + moveMs;
      await settle(turns);
      while (await fireNext(untilMs));
      elapsedMs = Math.max(elapsedMs, untilMs);
    },
    fireNext,
    freeze(moveMs) {
      elapsedMs += moveMs;
    },
    get pending() {
      return timers.size;
    },
  };
}
