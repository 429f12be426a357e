import type { TransportAnswer, TransportFailure } from "./transport.ts";

/**
 * Why a call failed. `invalid` also covers a malformed request; `gone` is an expired resource version or
 * continue token; `unavailable` any 5xx or a connection that failed; `notLeader` a write that the guard refused
 * before it was sent; `aborted` means that the caller's signal ended it.
 */
export type KubeFailureCode =
  | "notFound"
  | "conflict"
  | "alreadyExists"
  | "unauthorized"
  | "forbidden"
  | "invalid"
  | "gone"
  | "tooManyRequests"
  | "unavailable"
  | "timeout"
  | "aborted"
  | "notLeader";

export interface KubeFailure {
  readonly ok: false;
  readonly code: KubeFailureCode;
  /** The server's own sentence where there is one. */
  readonly message: string;
  /** HTTP status, absent when no answer came. */
  readonly status?: number;
  readonly retryAfterMs?: number;
}

export type KubeResult<T> = { readonly ok: true; readonly value: T } | KubeFailure;

/** The API's `Status` object, as far as it is read here. */
export interface ApiStatus {
  kind?: string;
  message?: string;
  reason?: string;
  code?: number;
  details?: { retryAfterSeconds?: number };
}

const CODE_OF_REASON: Readonly<Record<string, KubeFailureCode>> = {
  AlreadyExists: "alreadyExists",
  Expired: "gone",
  Gone: "gone",
  Timeout: "timeout",
};

const CODE_OF_STATUS: Readonly<Record<number, KubeFailureCode>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "notFound",
  409: "conflict",
  410: "gone",
  429: "tooManyRequests",
  504: "timeout",
};

/** Turns an answer that is no success into a failure, with the server's reason before the bare status. */
export function failureOf(status: number, body: ApiStatus | undefined, retryAfterMs?: number): KubeFailure {
  const code =
    CODE_OF_REASON[body?.reason ?? ""] ??
    CODE_OF_STATUS[status] ??
    (status >= 500 ? "unavailable" : "invalid");
  const seconds = body?.details?.retryAfterSeconds;
  const waitMs = retryAfterMs ?? (seconds === undefined || seconds <= 0 ? undefined : seconds * 1000);
  return {
    ok: false,
    code,
    status,
    message: body?.message ?? `the API server answered ${status}`,
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  };
}

/** The failure behind an outcome of the transport; undefined for a success. */
export function failureOfOutcome(outcome: TransportAnswer | TransportFailure): KubeFailure | undefined {
  if (outcome.kind !== "answer")
    return {
      ok: false,
      code: outcome.kind === "connection" ? "unavailable" : outcome.kind,
      message: outcome.message,
    };
  if (outcome.status >= 200 && outcome.status < 300) return undefined;
  return failureOf(outcome.status, parseStatus(outcome.body), outcome.retryAfterMs);
}

function parseStatus(body: string): ApiStatus | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? (parsed as ApiStatus) : undefined;
  } catch {
    return body === "" ? undefined : { message: body.slice(0, 300).trim() };
  }
}

/** True for failures that pass by themselves, so that trying again later makes sense. */
export function isTemporary(failure: KubeFailure): boolean {
  return ["conflict", "tooManyRequests", "unavailable", "timeout", "gone", "aborted"].includes(failure.code);
}
