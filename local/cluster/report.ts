/** Where long steps tell what they are doing. The progress display of the launcher has this shape. */
export interface Report {
  /** Runs `run` under a title; `why` says what it is good for and how long it may take. */
  step<T>(title: string, why: string, run: () => Promise<T>): Promise<T>;
  /** One line of detail about the step that is running. */
  note(text: string): void;
}

/** A report that shows nothing, for callers that have no screen. */
export function silentReport(): Report {
  return { step: (_title, _why, run) => run(), note: () => {} };
}
