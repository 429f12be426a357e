/** A signal that aborts when somebody wants the run to end; a second wish ends it at once. */
export function untilStopped(): AbortSignal {
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopping.abort());
  return stopping.signal;
}

/** Throws when somebody wants the run to end: for the moments at which everything that was begun is known. */
export function goOnUnless(signal: AbortSignal): void {
  if (signal.aborted) throw new Error("Stopped.");
}

/** The outcome of `work`, or an error with `message` as soon as the signal aborts. */
export function orStopped<T>(work: Promise<T>, signal: AbortSignal, message: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(new Error(message));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
