/** Calls that wait to travel together. */
interface Waiting<T, R> {
  readonly call: T;
  resolve(result: R): void;
  reject(error: unknown): void;
}

/**
 * Lets calls that are made in one turn of the event loop travel together, at most `max` at once: the round trip and what it costs on
 * the other side is paid once. `run` answers in the order in which it was asked; when it fails, all of its calls have failed.
 */
export function gather<T, R>(run: (calls: readonly T[]) => Promise<readonly R[]>, max: number) {
  let waiting: Waiting<T, R>[] = [];

  async function send(batch: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const results = await run(batch.map(({ call }) => call));
      if (results.length !== batch.length)
        throw new Error(`${batch.length} calls were given ${results.length} answers`);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as R);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  function flush(): void {
    const batch = waiting;
    waiting = [];
    void send(batch);
  }

  return (call: T): Promise<R> =>
    new Promise((resolve, reject) => {
      waiting.push({ call, resolve, reject });
      if (waiting.length === max) flush();
      else if (waiting.length === 1) setImmediate(() => waiting.length > 0 && flush());
    });
}
