/** Where long steps tell what they are doing. The progress display of the launcher has this shape. */
export interface Report {
  /** Runs `run` under a title; `why` says what it is good for and how long it may take. */
  step<T>(title: string, why: string, run: () => Promise<T>): Promise<T>;
  /** One line of detail about the step that is running. */
  note(text: string): void;
}

/** A report of plain lines with the seconds since it was made: readable in a terminal and in a log. */
export function lineReport(write: (line: string) => void): Report {
  const begin = performance.now();
  const stamp = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
  const line = (text: string): void => write(`[${stamp(begin).padStart(8)}] ${text}\n`);
  return {
    note: (text) => line(`  ${text}`),
    async step(title, why, run) {
      line(`${title}: ${why}`);
      const start = performance.now();
      const result = await run();
      line(`${title}: done in ${stamp(start)}`);
      return result;
    },
  };
}

/** A report that shows nothing, for callers that have no screen. */
export function silentReport(): Report {
  return { step: (_title, _why, run) => run(), note: () => {} };
}
