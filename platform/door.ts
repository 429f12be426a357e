import { parse as parseQuery } from "node:querystring";
import type { HttpRequest, HttpResult, Route } from "./http.ts";
import {
  type AnswerOptions,
  MAX_BODY_BYTES,
  MAX_CONCURRENT,
  MAX_DEADLINE_MS,
  tooLate,
  underKey,
  unexpected,
} from "./http-answer.ts";
import { DURATION_BUCKETS } from "./metrics.ts";
import { type Failure, fail, isFailure, PROBLEMS, retryAfterOf, toProblem } from "./problem.ts";
import { admit, readInput } from "./request.ts";
import { currentTraceId, withRemoteTrace } from "./tracing.ts";

/** A request as it would go over the wire: names of headers in small letters, the body as text. */
export interface DoorRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface DoorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/**
 * The way into a slice for its siblings in the same process: what the HTTP server does with a request, without the wire. Tokens, schemas,
 * keys, deadlines, bounds and problem documents are the same, and nothing but JSON goes through.
 */
export interface Door {
  /** Undefined for what only the wire can carry: event streams, and paths that are not there. */
  open(request: DoorRequest): Promise<DoorAnswer> | undefined;
  /** Lets what is under way end. */
  close(): Promise<void>;
}

interface Found {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Makes the door of one slice. */
export function createDoor(options: AnswerOptions & { readonly routes: readonly Route[] }): Door {
  const { metrics, log, maxBodyBytes = MAX_BODY_BYTES, maxConcurrent = MAX_CONCURRENT } = options;
  const find = createFinder(options.routes.filter((route) => !route.stream));
  const seconds = metrics.histogram("http_request_seconds", "Time to the answer.", DURATION_BUCKETS, [
    ...["method", "route", "code"],
  ]);
  const underWay = new Set<Promise<unknown>>();

  /** The answer; the work behind it may go on after its deadline, and keeps its room for as long. */
  async function answer(found: Found, request: DoorRequest, path: string): Promise<HttpResult | Failure> {
    const { route } = found;
    const principal = await admit(route, request.headers, options.verifier);
    if (isFailure(principal)) return principal;
    if (underWay.size >= maxConcurrent)
      return fail("overloaded", "Too many requests are under way here; try again.");
    if (Buffer.byteLength(request.body ?? "") > maxBodyBytes)
      return fail("payload-too-large", "The body is larger than this operation takes.");
    const query = parseQuery(request.path.slice(path.length + 1));
    const input = readInput(route, { headers: request.headers, body: request.body ?? "", query });
    if (isFailure(input)) return input;
    const latestMs = Date.now() + MAX_DEADLINE_MS;
    const asked = Number(request.headers["x-deadline-ms"]);
    const deadlineMs = Number.isFinite(asked) && asked > 0 ? Math.min(asked, latestMs) : latestMs;
    if (deadlineMs <= Date.now()) return tooLate();
    const ended = new AbortController();
    const { rawBody, idempotencyKey: key } = input;
    const given: Omit<HttpRequest<never>, "raw"> = {
      ...{ method: request.method, path, params: found.params, query: input.query, headers: request.headers },
      ...{
        body: input.body as never,
        rawBody,
        principal,
        idempotencyKey: key,
        deadlineMs,
        signal: ended.signal,
      },
    };
    // Only streams have the raw request, and they do not come this way.
    const run = () => route.handler(given as HttpRequest<never>);
    const working = underKey(options, { route, principal, path }, input, run);
    return within(hold(working), deadlineMs, ended);
  }

  function hold<T>(working: Promise<T>): Promise<T> {
    const kept = working.finally(() => underWay.delete(kept));
    underWay.add(kept);
    return kept;
  }

  async function serve(found: Found, request: DoorRequest, path: string): Promise<DoorAnswer> {
    const { route } = found;
    const startedAtMs = performance.now();
    const told = await withRemoteTrace(request.headers, `${route.method} ${route.path}`, async () => {
      try {
        return toAnswer(await answer(found, request, path), path);
      } catch (error) {
        return toAnswer(unexpected(error, log, route), path);
      }
    });
    const labels = { method: route.method, route: route.path, code: String(told.status) };
    seconds.observe(labels, (performance.now() - startedAtMs) / 1000);
    return told;
  }

  return {
    open(request) {
      const path = request.path.split("?", 1)[0] ?? "";
      const found = find(request.method, path);
      return found && serve(found, request, path);
    },
    async close() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

async function within(
  working: Promise<HttpResult | Failure>,
  deadlineMs: number,
  ended: AbortController,
): Promise<HttpResult | Failure> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Failure>((resolve) => {
    timer = setTimeout(() => resolve(tooLate()), Math.max(0, deadlineMs - Date.now()));
  });
  try {
    return await Promise.race([working, late]);
  } finally {
    clearTimeout(timer);
    ended.abort();
  }
}

/** As it would be read off the wire: what is no JSON does not get through. */
function toAnswer(result: HttpResult | Failure, path: string): DoorAnswer {
  if (!isFailure(result)) {
    const body = result.body === undefined ? undefined : JSON.parse(JSON.stringify(result.body));
    return { status: result.status, headers: lowered(result.headers), body };
  }
  const { status } = PROBLEMS[result.code];
  const retryAfter = retryAfterOf(result);
  const traceId = status >= 500 ? currentTraceId() : undefined;
  return {
    status,
    headers: {
      ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
      ...lowered(result.headers),
    },
    body: JSON.parse(JSON.stringify({ ...toProblem(result, path), ...(traceId ? { traceId } : {}) })),
  };
}

function lowered(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Finds the first route that fits, as the server does. A parameter is one segment of the path. */
function createFinder(routes: readonly Route[]): (method: string, path: string) => Found | undefined {
  const compiled = routes.map((route) => ({ route, segments: route.path.split("/") }));
  return (method, path) => {
    const segments = path.split("/");
    for (const { route, segments: pattern } of compiled) {
      if (route.method !== method || pattern.length !== segments.length) continue;
      const found = match(pattern, segments);
      const params = found && decoded(found);
      if (params) return { route, params };
      if (found) return undefined;
    }
    return undefined;
  };
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? "";
    if (!part.startsWith(":")) {
      if (part !== segment) return undefined;
    } else if (segment === "") return undefined;
    else params[part.slice(1)] = segment;
  }
  return params;
}

/** Undefined where a parameter is no valid encoding: the server has words for that. */
function decoded(params: Readonly<Record<string, string>>): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, text]) => [name, decodeURIComponent(text)]));
  } catch {
    return undefined;
  }
}
