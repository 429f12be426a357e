/** What a checker found. `unknown`: there was nothing to judge, and that never passes. */
export interface Verdict {
  readonly checker: string;
  readonly valid: boolean | "unknown";
  /** How many facts were looked at. */
  readonly checked: number;
  /** The first of what is wrong, in words. */
  readonly problems: readonly string[];
  /** All that is wrong, also what is not listed. */
  readonly wrong: number;
}

/** A broken invariant shows in thousands of places; a person reads the first few. */
const MAX_PROBLEMS = 12;

/** Collects what one checker sees. */
export interface Findings {
  /** One more fact was looked at. */
  saw(count?: number): void;
  wrong(text: string): void;
  verdict(): Verdict;
}

/** Starts the findings of a checker. Nothing looked at and nothing wrong is `unknown`. */
export function findings(checker: string): Findings {
  const problems: string[] = [];
  let checked = 0;
  let wrong = 0;
  return {
    saw(count = 1) {
      checked += count;
    },
    wrong(text) {
      wrong++;
      if (problems.length < MAX_PROBLEMS) problems.push(text);
    },
    verdict: () => ({
      checker,
      valid: wrong > 0 ? false : checked === 0 ? "unknown" : true,
      checked,
      problems,
      wrong,
    }),
  };
}
