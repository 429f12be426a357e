/** Milliseconds on the machine's monotonic clock, the same for every process on it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until it is so; false when the time is over. What throws is not so. */
export async function waitFor(
  isSo: () => Promise<boolean>,
  timeoutMs: number,
  intervalMs = 200,
): Promise<boolean> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    if (await isSo().catch(() => false)) return true;
    if (performance.now() > untilMs) return false;
    await pause(intervalMs);
  }
}

const TELL_MS = 10_000;

/** Passes a word on at once and then one in ten seconds at most: a log is read by people. */
export function nowAndThen(tell: (text: string) => void): (text: string) => void {
  let toldMs = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (performance.now() - toldMs < TELL_MS) return;
    toldMs = performance.now();
    tell(text);
  };
}
