const TRIES = 8;
const TRY_AGAIN_MS = 250;

/** Asks again, at growing intervals, while `mayPass` says so of what was thrown: eight times within 7 s, then throws the last. */
export async function patiently<T>(
  ask: () => Promise<T>,
  mayPass: (error: unknown) => boolean,
  tryAgainMs = TRY_AGAIN_MS,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await ask();
    } catch (error) {
      if (tried === TRIES || !mayPass(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, tryAgainMs * tried));
    }
  }
}
