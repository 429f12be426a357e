import CircuitBreaker from "opossum";

export interface BreakerOptions {
  readonly timeoutMs: number;
  /** Calls in the window before the breaker may open. */
  readonly volumeThreshold: number;
  readonly errorThresholdPercentage: number;
  readonly resetTimeoutMs: number;
  /** False for errors that say nothing about the other side's health, such as its 4xx answers. Default: all count. */
  readonly isFailure?: (error: unknown) => boolean;
}

export interface Breaker<A extends unknown[], R> {
  /** Runs the function, or throws BreakerOpen at once. */
  fire(...args: A): Promise<R>;
  isOpen(): boolean;
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
  const { timeoutMs, volumeThreshold, errorThresholdPercentage, resetTimeoutMs, isFailure } = {
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
  return {
    async fire(...args) {
      try {
        return await breaker.fire(...args);
      } catch (error) {
        if ((error as { code?: string }).code === "EOPENBREAKER")
          throw new BreakerOpen(`breaker ${name} is open`);
        throw error;
      }
    },
    isOpen: () => breaker.opened,
    close: () => breaker.shutdown(),
  };
}
