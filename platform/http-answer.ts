import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from "express";
import type { HttpRequest, HttpResult, Principal, Route } from "./http.ts";
import type { IdempotencyStore } from "./idempotency.ts";
import { errorText, type Logger } from "./log.ts";
import { DURATION_BUCKETS, type HistogramHandle, type Metrics } from "./metrics.ts";
import { type Failure, fail, isFailure, PROBLEMS, retryAfterOf, toProblem } from "./problem.ts";
import { RedisAway } from "./redis.ts";
import { admit, type RequestInput, readInput } from "./request.ts";
import { Contended, Fenced, isDatabaseAway } from "./sqlstate.ts";
import { currentTraceId, withRemoteTrace } from "./tracing.ts";
import type { Verifier } from "./trust.ts";

export interface AnswerOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Without one, only `public` routes can be called. */
  readonly verifier?: Verifier;
  /** Needed when a route asks for an Idempotency-Key. */
  readonly idempotency?: IdempotencyStore;
  /** Default 256 KiB. */
  readonly maxBodyBytes?: number;
  /** Requests under way at once; one more is answered 503 at once. Event streams do not count. Default 512. */
  readonly maxConcurrent?: number;
}

export const MAX_BODY_BYTES = 262_144;
export const MAX_CONCURRENT = 512;
export const MAX_DEADLINE_MS = 30_000;
/** What the metrics say of a request whose client went away before the answer (nginx's number for it). */
const CLIENT_GONE = 499;

type ReadBody = (request: Request, response: Response) => Promise<void>;

/**
 * Makes the handler of each route: who calls, is there room, the body, the checks, the run, the answer. In that order, so that who
 * may not call takes no room, and who finds no room sends no body.
 */
export function answerRoute(options: AnswerOptions): (route: Route) => RequestHandler {
  const { metrics, log, maxBodyBytes = MAX_BODY_BYTES, maxConcurrent = MAX_CONCURRENT } = options;
  const labels = ["method", "route", "code"];
  const seconds = metrics.histogram("http_request_seconds", "Time to the answer.", DURATION_BUCKETS, labels);
  const readBody = bodyReader(maxBodyBytes);
  let inFlight = 0;

  async function withinRoom(route: Route, run: () => Promise<void>): Promise<Failure | undefined> {
    if (route.stream) {
      await run();
      return undefined;
    }
    if (inFlight >= maxConcurrent)
      return fail("overloaded", "Too many requests are under way here; try again.");
    inFlight++;
    try {
      await run();
      return undefined;
    } finally {
      inFlight--;
    }
  }

  async function serve(route: Route, request: Request, response: Response): Promise<Failure | undefined> {
    const principal = await admit(route, request.headers, options.verifier);
    if (isFailure(principal)) return principal;
    return withinRoom(route, () => answer(route, options, readBody, principal, request, response));
  }

  return (route) => async (request, response) => {
    observe(route, response, seconds);
    await withRemoteTrace(request.headers, `${route.method} ${route.path}`, async () => {
      try {
        const failure = await serve(route, request, response);
        if (failure) sendFailure(response, failure, request.path);
      } catch (error) {
        sendFailure(response, unexpected(error, log, route), request.path);
      }
      log.debug({ method: route.method, route: route.path, status: response.statusCode }, "a request ended");
    });
  };
}

function observe(route: Route, response: Response, seconds: HistogramHandle): void {
  const startedAtMs = performance.now();
  response.on("close", () => {
    const code = response.headersSent ? response.statusCode : CLIENT_GONE;
    const labels = { method: route.method, route: route.path, code: String(code) };
    seconds.observe(labels, (performance.now() - startedAtMs) / 1000);
  });
}

/** Any type is read as text, so that a wrong one can be told apart from a broken body. */
function bodyReader(maxBodyBytes: number): ReadBody {
  const parse = express.text({ limit: maxBodyBytes, type: () => true });
  return (request, response) =>
    new Promise((resolve, reject) => {
      parse(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
    });
}

async function answer(
  route: Route,
  options: AnswerOptions,
  readBody: ReadBody,
  principal: Principal,
  request: Request,
  response: Response,
): Promise<void> {
  await readBody(request, response);
  const input = readInput(route, request);
  if (isFailure(input)) return sendFailure(response, input, request.path);
  const deadline = startDeadline(route, request, response);
  if (deadline.atMs <= Date.now()) return sendFailure(response, tooLate(), request.path);

  const asked = requestFor(request, response, input, principal, deadline);
  const run = () => route.handler(asked);
  const working = underKey(options, { route, principal, path: request.path }, input, run);
  const result = await Promise.race([working, deadline.passed]);
  if (result === "passed") {
    sendFailure(response, tooLate(), request.path);
    // The work goes on and keeps its room; what it comes to is for the one who repeats the request.
    await working;
    return;
  }
  if (response.headersSent) return;
  if (isFailure(result)) return sendFailure(response, result, request.path);
  if (!route.stream) sendResult(response, result);
}

interface Deadline {
  readonly atMs: number;
  readonly signal: AbortSignal;
  /** Never resolves for a stream. */
  readonly passed: Promise<"passed">;
}

function startDeadline(route: Route, request: Request, response: Response): Deadline {
  const asked = Number(request.headers["x-deadline-ms"]);
  const latestMs = Date.now() + MAX_DEADLINE_MS;
  const atMs = Number.isFinite(asked) && asked > 0 ? Math.min(asked, latestMs) : latestMs;
  const ended = new AbortController();
  const passed = new Promise<"passed">((resolve) => {
    if (route.stream) return;
    const timer = setTimeout(
      () => {
        ended.abort();
        resolve("passed");
      },
      Math.max(0, atMs - Date.now()),
    );
    response.on("close", () => clearTimeout(timer));
  });
  response.on("close", () => ended.abort());
  return { atMs, signal: ended.signal, passed };
}

export const tooLate = () =>
  fail("deadline-exceeded", "The deadline has passed; a request with a key can be repeated for its outcome.");

function requestFor(
  request: Request,
  response: Response,
  input: RequestInput,
  principal: Principal,
  deadline: Deadline,
): HttpRequest<never> {
  return {
    method: request.method,
    path: request.path,
    params: request.params as Record<string, string>,
    query: input.query,
    headers: request.headers as Record<string, string | undefined>,
    body: input.body as never,
    rawBody: input.rawBody,
    principal,
    idempotencyKey: input.idempotencyKey,
    deadlineMs: deadline.atMs,
    signal: deadline.signal,
    raw: { req: request, res: response },
  };
}

/** Runs it once under the request's key, unless the route has none or keeps it itself. */
export function underKey(
  { idempotency }: Pick<AnswerOptions, "idempotency">,
  { route, principal, path }: { readonly route: Route; readonly principal: Principal; readonly path: string },
  { idempotencyKey: key, rawBody: body }: RequestInput,
  run: () => Promise<HttpResult | Failure>,
): Promise<HttpResult | Failure> {
  if (key === undefined || !idempotency || route.idempotency === "own") return run();
  return idempotency.run({ key, scope: scopeOf(principal, route, path), body }, run);
}

/** One user's key on one path says nothing about another's. */
function scopeOf(principal: Principal, route: Route, path: string): string {
  return `${principal.user?.sub ?? principal.subject} ${route.method} ${path}`;
}

function sendResult(response: Response, result: HttpResult): void {
  for (const [name, value] of Object.entries(result.headers ?? {})) response.setHeader(name, value);
  if (result.body === undefined) response.status(result.status).end();
  else response.status(result.status).json(result.body);
}

/** Answers with an RFC 9457 problem; one of ours names the trace under which the log has it. */
export function sendFailure(response: Response, failure: Failure, path: string): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    // Half an answer cannot be taken back: the broken connection says that it is none.
    if (!response.writableEnded) response.destroy();
    return;
  }
  const seconds = retryAfterOf(failure);
  if (seconds !== undefined) response.setHeader("retry-after", String(seconds));
  for (const [name, value] of Object.entries(failure.headers ?? {})) response.setHeader(name, value);
  const { status } = PROBLEMS[failure.code];
  const traceId = status >= 500 ? currentTraceId() : undefined;
  response.status(status).type("application/problem+json");
  response.send(JSON.stringify({ ...toProblem(failure, path), ...(traceId ? { traceId } : {}) }));
}

/** What a handler that threw is answered with. */
export function unexpected(error: unknown, log: Logger, route: Route): Failure {
  const unread = unreadable(error);
  if (unread) return unread;
  if (error instanceof Fenced)
    return fail("fenced", "Another copy of this cell is in force; try again.", undefined, 2);
  if (error instanceof Contended)
    return fail("overloaded", "Too many others change the same thing; try again.");
  if (error instanceof RedisAway || isDatabaseAway(error))
    return fail(
      "unavailable",
      "A store of this cell cannot be reached; repeat the request with its key.",
      undefined,
      2,
    );
  log.error(
    { route: route.path, error: errorText(error), stack: (error as Error | undefined)?.stack },
    "a request ended in an unexpected error",
  );
  return fail("internal", "An unexpected error; the log has it under this trace id.");
}

/** What express says of a path or body that it could not read; undefined for any other error. */
function unreadable(error: unknown): Failure | undefined {
  const { type, status } = (error ?? {}) as { type?: string; status?: number };
  if (type === "entity.too.large")
    return fail("payload-too-large", "The body is larger than this operation takes.");
  if (status === 415) return fail("unsupported-media-type", "Send the body as plain UTF-8 JSON.");
  if (status !== undefined && status >= 400 && status < 500)
    return fail("invalid-request", "The request could not be read.");
  return undefined;
}

/** For what goes wrong outside of every route. */
export function lastResort(log: Logger): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const failure = unreadable(error);
    if (!failure) log.error({ error: errorText(error) }, "a request ended in an unexpected error");
    sendFailure(response, failure ?? fail("internal", "An unexpected error; the log has it."), request.path);
  };
}
