/** The value of a call that may not fail here. */
export function must<T>(result: { ok: true; value: T } | { ok: false; code: string; message: string }): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

/**
 * Waits for a fact, and gives up with a sentence after the deadline or when the run is to end. With `progress`, a number that grows on
 * the way, the time begins anew whenever it has grown.
 */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  options: {
    readonly deadlineMs: number;
    readonly pollMs?: number;
    readonly signal: AbortSignal;
    readonly progress?: () => number;
  },
): Promise<void> {
  const { deadlineMs, progress = () => 0 } = options;
  let end = performance.now() + deadlineMs;
  let reached = progress();
  while (!(await holds())) {
    if (options.signal.aborted) throw new Error("Stopped.");
    const now = progress();
    if (now > reached) [reached, end] = [now, performance.now() + deadlineMs];
    if (performance.now() > end) {
      const soFar = options.progress ? ` (${reached} so far)` : "";
      throw new Error(`${what}${soFar} did not happen within ${Math.round(deadlineMs / 1000)} s.`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.pollMs ?? 100));
  }
}
