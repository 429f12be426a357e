/** The value of a call that may not fail here. */
export function must<T>(result: { ok: true; value: T } | { ok: false; code: string; message: string }): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

/** Waits for a fact, and gives up with a sentence after the deadline or when the run is to end. */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  options: { readonly deadlineMs: number; readonly pollMs?: number; readonly signal: AbortSignal },
): Promise<void> {
  const end = performance.now() + options.deadlineMs;
  while (!(await holds())) {
    if (options.signal.aborted) throw new Error("Stopped.");
    if (performance.now() > end)
      throw new Error(`${what} did not happen within ${Math.round(options.deadlineMs / 1000)} s.`);
    await new Promise((resolve) => setTimeout(resolve, options.pollMs ?? 100));
  }
}
