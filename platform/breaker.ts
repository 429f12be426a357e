import CircuitBreaker from "opossum";

export interface BreakerOptions {
  readonly timeoutMs: number;
  /** Calls in the window before the breaker may open. */
  readonly volumeThreshold: number;
  readonly errorThresholdPercentage: number;
  readonly resetTimeoutMs: number;
  /** False for errors that say nothing about the other side's health, such as its 4xx answers. Default: all count. */
  readonly isFailure?: (error: unknown) => boolean;
  /** Told of each change. */
  readonly onState?: (state: BreakerState) => void;
}

export type BreakerState = "closed" | "half-open" | "open";

export interface Breaker<A extends unknown[], R> {
  /** Runs the function, or throws BreakerOpen at once. */
  fire(...args: A): Promise<R>;
  isOpen(): boolean;
  state(): BreakerState;
  close(): void;
}

/** The breaker let nothing through: the call was not made. */
export class BreakerOpen extends Error {}

const DEFAULTS: BreakerOptions = {
  timeoutMs: 10_000,
  volumeThreshold: 10,
  errorThresholdPercentage: 50,
  resetTimeoutMs: 1_000,
};

/** Wraps `fn` with a circuit breaker over a window of 10 s. */
export function createBreaker<A extends unknown[], R>(
  name: string,
  fn: (...args: A) => Promise<R>,
  options: Partial<BreakerOptions> = {},
): Breaker<A, R> {
  const { timeoutMs, volumeThreshold, errorThresholdPercentage, resetTimeoutMs, isFailure, onState } = {
    ...DEFAULTS,
    ...options,
  };
  const breaker = new CircuitBreaker<A, R>(fn, {
    name,
    timeout: timeoutMs,
    volumeThreshold,
    errorThresholdPercentage,
    resetTimeout: resetTimeoutMs,
    rollingCountTimeout: 10_000,
    ...(isFailure ? { errorFilter: (error: unknown) => !isFailure(error) } : {}),
  });
  if (onState) {
    breaker.on("open", () => onState("open"));
    breaker.on("halfOpen", () => onState("half-open"));
    breaker.on("close", () => onState("closed"));
  }
  return {
    async fire(...args) {
      try {
        return await breaker.fire(...args);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "EOPENBREAKER" || code === "ESHUTDOWN")
          throw new BreakerOpen(`breaker ${name} lets nothing through`);
        throw error;
      }
    },
    isOpen: () => breaker.opened,
    state: () => (breaker.halfOpen ? "half-open" : breaker.opened ? "open" : "closed"),
    close: () => breaker.shutdown(),
  };
}
