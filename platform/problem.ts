/** The catalogue of everything that a caller can be told: code -> HTTP status and title (RFC 9457). */
export const PROBLEMS = {
  "invalid-request": { status: 400, title: "The request is not valid" },
  "idempotency-key-missing": { status: 400, title: "An Idempotency-Key is needed" },
  unauthenticated: { status: 401, title: "Who you are is not proved" },
  "payment-declined": { status: 402, title: "The payment was declined" },
  forbidden: { status: 403, title: "You may not do this" },
  "not-found": { status: 404, title: "There is no such thing" },
  "method-not-allowed": { status: 405, title: "This method is not offered here" },
  conflict: { status: 409, title: "The state does not allow this" },
  "stale-transition": { status: 409, title: "This has happened already" },
  "too-early": { status: 409, title: "This cannot happen yet" },
  "out-of-stock": { status: 409, title: "Not enough stock" },
  "price-changed": { status: 409, title: "The price has changed" },
  "key-closed": { status: 409, title: "The order is placed at another center" },
  "request-in-progress": { status: 409, title: "The same request is still running" },
  "payload-too-large": { status: 413, title: "The body is too large" },
  "unsupported-media-type": { status: 415, title: "The body must be JSON" },
  unprocessable: { status: 422, title: "The request cannot be carried out" },
  "idempotency-key-reused": { status: 422, title: "The Idempotency-Key belongs to another request" },
  "no-center": { status: 422, title: "No center serves this" },
  "rate-limited": { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "An unexpected error" },
  "bad-gateway": { status: 502, title: "An upstream answered wrongly" },
  unavailable: { status: 503, title: "Not available now" },
  overloaded: { status: 503, title: "Too much at once" },
  "cell-unavailable": { status: 503, title: "The center cannot be reached" },
  "outcome-unknown": { status: 503, title: "The outcome is not known yet" },
  "not-accepting": { status: 503, title: "The center takes no orders now" },
  fenced: { status: 503, title: "This copy of the cell may no longer write" },
  "processor-unavailable": { status: 503, title: "The payment processor cannot be reached" },
  "deadline-exceeded": { status: 504, title: "The time for this request is over" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/** An expected failure: returned, never thrown. `detail` is a sentence that says what to do next. */
export interface Failure {
  readonly ok: false;
  readonly code: ProblemCode;
  readonly detail: string;
  /** Further members of the problem document; never personal or secret. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Sent as Retry-After; 503 and 429 get 1 second when it is absent. */
  readonly retryAfterSeconds?: number;
  /** Sent with the answer, also when it is replayed. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Makes a failure. */
export function fail(
  code: ProblemCode,
  detail: string,
  extra?: Readonly<Record<string, unknown>>,
  retryAfterSeconds?: number,
): Failure {
  return {
    ok: false,
    code,
    detail,
    ...(extra === undefined ? {} : { extra }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

/** True for a Failure among the values a function may return. */
export function isFailure(value: unknown): value is Failure {
  return typeof value === "object" && value !== null && (value as Failure).ok === false && "code" in value;
}

/** True for a code of the catalogue. */
export function isProblemCode(text: unknown): text is ProblemCode {
  return typeof text === "string" && Object.hasOwn(PROBLEMS, text);
}

/** The Retry-After of a failure in seconds; undefined where none belongs. */
export function retryAfterOf(failure: Failure): number | undefined {
  const { status } = PROBLEMS[failure.code];
  if (failure.retryAfterSeconds !== undefined) return failure.retryAfterSeconds;
  return status === 503 || status === 429 || failure.code === "request-in-progress" ? 1 : undefined;
}

/** The RFC 9457 body. `instance` is the path that was asked for. */
export function toProblem(failure: Failure, instance: string): Record<string, unknown> {
  const { status, title } = PROBLEMS[failure.code];
  return {
    ...failure.extra,
    type: `urn:fulfillment-cells:problem:${failure.code}`,
    title,
    status,
    detail: failure.detail,
    instance,
    code: failure.code,
  };
}
