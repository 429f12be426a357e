import { Agent, type Dispatcher } from "undici";
import type { ClusterConfig, Credentials } from "./config.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, sleep } from "./ports.ts";

export interface TransportRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query, starting with a slash. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** Asked right before each try is handed over, with nothing to wait for in between; false ends the call as `aborted`. */
  readonly mayStart?: (() => boolean) | undefined;
  /** Whole call with its repetitions. */
  readonly timeoutMs: number;
  /** Tries in all; 1 for callers that have their own backoff. */
  readonly attempts: number;
}

export interface TransportAnswer {
  readonly kind: "answer";
  readonly status: number;
  readonly body: string;
  readonly retryAfterMs?: number;
}

class NotStarted extends Error {}

/** No answer: `aborted` by the caller, `timeout` of the call, `connection` for everything else. */
export interface TransportFailure {
  readonly kind: "aborted" | "timeout" | "connection";
  readonly message: string;
}

export interface TransportStream {
  readonly kind: "stream";
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Transport {
  call(request: TransportRequest): Promise<TransportAnswer | TransportFailure>;
  /** Opens a stream; an answer that is not 200 comes back whole. The signal ends the stream at any time. */
  stream(path: string, signal: AbortSignal): Promise<TransportStream | TransportAnswer | TransportFailure>;
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
  readonly time: KubeTime;
  readonly random: () => number;
}

const HEADERS_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Below the API server's own 90 s, so that we never write into a connection that it is closing. */
const KEEP_ALIVE_MS = 60_000;
const MAX_CONNECTIONS = 32;
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Seconds; the buckets of client-go. */
const LATENCY_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/**
 * One pooled agent for calls and one for watches, so that streams never take a connection from calls.
 * HTTP/1.1 on purpose: one lost HTTP/2 connection would cut every watch at once.
 */
export function createTransport(config: ClusterConfig, options: TransportOptions): Transport {
  const { time, random, log } = options;
  const agents = createAgents(config);
  const host = new URL(config.server).host;
  const requests = options.metrics.counter(
    "rest_client_requests_total",
    "Number of HTTP requests, partitioned by status code, method, and host.",
    ["code", "method", "host"],
  );
  const retries = options.metrics.counter(
    "rest_client_request_retries_total",
    "Number of request retries, partitioned by status code, verb, and host.",
    ["code", "verb", "host"],
  );
  const latency = options.metrics.histogram(
    "rest_client_request_duration_seconds",
    "Request latency in seconds, broken down by verb and host.",
    LATENCY_BUCKETS,
    ["verb", "host"],
  );

  /** One exchange up to the head of the answer; a 401 is repeated once with fresh credentials. */
  async function exchange(
    agent: "calls" | "watches",
    request: Omit<TransportRequest, "timeoutMs" | "attempts">,
    fresh = false,
  ): Promise<Dispatcher.ResponseData> {
    const credentials = await config.credentials({ fresh });
    if (request.mayStart?.() === false) throw new NotStarted("the call was not allowed to start any more");
    const startMs = time.monotonicMs();
    const method = request.method;
    try {
      const response = await agents.of(credentials)[agent].request({
        origin: config.server,
        path: request.path,
        method,
        headers: {
          ...credentials.headers,
          accept: "application/json",
          "user-agent": options.userAgent,
          ...(request.contentType === undefined ? {} : { "content-type": request.contentType }),
        },
        body: request.body ?? null,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      requests.inc({ code: String(response.statusCode), method, host });
      if (response.statusCode !== 401 || fresh) return response;
      await response.body.dump();
    } catch (error) {
      requests.inc({ code: "<error>", method, host });
      throw error;
    } finally {
      latency.observe({ verb: method, host }, (time.monotonicMs() - startMs) / 1000);
    }
    return exchange(agent, request, true);
  }

  async function once(
    request: TransportRequest,
    signal: AbortSignal,
  ): Promise<TransportAnswer | TransportFailure> {
    try {
      const response = await exchange("calls", { ...request, signal });
      return toAnswer(response, await response.body.text());
    } catch (error) {
      if (error instanceof NotStarted) return { kind: "aborted", message: error.message };
      return { kind: "connection", message: describeError(error) };
    }
  }

  return {
    async call(request) {
      const limit = linkSignal(request.signal, request.timeoutMs, time);
      try {
        for (let attempt = 1; ; attempt++) {
          const outcome = await once(request, limit.signal);
          if (limit.signal.aborted && outcome.kind !== "answer") return limit.failure();
          if (attempt >= request.attempts || !mayRepeat(request.method, outcome)) return outcome;
          const code = outcome.kind === "answer" ? String(outcome.status) : "<error>";
          retries.inc({ code, verb: request.method, host });
          const pauseMs = pauseBefore(attempt, outcome, random);
          log.debug({ path: request.path, attempt, pauseMs }, "repeating a call to the API server");
          await sleep(time, pauseMs, limit.signal);
          if (limit.signal.aborted) return outcome.kind === "answer" ? outcome : limit.failure();
        }
      } finally {
        limit.release();
      }
    },
    async stream(path, signal) {
      try {
        const response = await exchange("watches", { method: "GET", path, signal });
        if (response.statusCode === 200) return { kind: "stream", body: response.body };
        return toAnswer(response, await response.body.text());
      } catch (error) {
        return signal.aborted
          ? { kind: "aborted", message: "the watch was stopped" }
          : { kind: "connection", message: describeError(error) };
      }
    },
    close: () => agents.close(),
  };
}

/** Builds agents for the TLS identity in use, and new ones when the certificates on disk have changed. */
function createAgents(config: ClusterConfig): {
  of(credentials: Credentials): { calls: Agent; watches: Agent };
  close(): Promise<void>;
} {
  let identity: string | undefined;
  let current: { calls: Agent; watches: Agent } | undefined;
  const build = (credentials: Credentials) => {
    const connect = {
      timeout: CONNECT_TIMEOUT_MS,
      ...(credentials.ca === undefined ? {} : { ca: credentials.ca }),
      ...(credentials.cert === undefined ? {} : { cert: credentials.cert }),
      ...(credentials.key === undefined ? {} : { key: credentials.key }),
      ...(config.serverName === undefined ? {} : { servername: config.serverName }),
      ...(config.insecureSkipVerify === true ? { rejectUnauthorized: false } : {}),
    };
    const shared = {
      connect,
      allowH2: false,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    return {
      calls: new Agent({
        ...shared,
        connections: MAX_CONNECTIONS,
        bodyTimeout: HEADERS_TIMEOUT_MS,
        maxResponseSize: MAX_RESPONSE_BYTES,
      }),
      // A watch may be silent for minutes; the reflector has its own watchdog.
      watches: new Agent({ ...shared, bodyTimeout: 0 }),
    };
  };
  return {
    of(credentials) {
      const next = `${credentials.ca}\n${credentials.cert}\n${credentials.key}`;
      if (current === undefined || identity !== next) {
        // Running calls end by themselves; running watches end at their timeout.
        if (current !== undefined) void Promise.all([current.calls.close(), current.watches.close()]);
        current = build(credentials);
        identity = next;
      }
      return current;
    },
    async close() {
      await Promise.all([current?.calls.destroy(), current?.watches.destroy()]);
    },
  };
}

/** A signal that also aborts after the time limit; release it, so that long-lived signals keep no listeners. */
function linkSignal(outer: AbortSignal | undefined, timeoutMs: number, time: KubeTime) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const cancel = time.setTimer(timeoutMs, stop);
  if (outer?.aborted === true) stop();
  outer?.addEventListener("abort", stop, { once: true });
  return {
    signal: controller.signal,
    release() {
      cancel();
      outer?.removeEventListener("abort", stop);
    },
    failure(): TransportFailure {
      return outer?.aborted === true
        ? { kind: "aborted", message: "the call was stopped" }
        : { kind: "timeout", message: `the API server gave no answer within ${timeoutMs} ms` };
    },
  };
}

/**
 * Reads may be repeated after anything temporary. A write is repeated after 429 alone, which the API server
 * answers before it has done anything.
 */
function mayRepeat(method: string, outcome: TransportAnswer | TransportFailure): boolean {
  if (outcome.kind !== "answer") return method === "GET" && outcome.kind === "connection";
  return outcome.status === 429 || (method === "GET" && outcome.status >= 500);
}

function pauseBefore(
  attempt: number,
  outcome: TransportAnswer | TransportFailure,
  random: () => number,
): number {
  const backoffMs = Math.min(RETRY_MIN_MS * 2 ** (attempt - 1), RETRY_MAX_MS) * (0.5 + random());
  return outcome.kind === "answer" ? Math.max(outcome.retryAfterMs ?? 0, backoffMs) : backoffMs;
}

function toAnswer(response: Dispatcher.ResponseData, body: string): TransportAnswer {
  const header = response.headers["retry-after"];
  const seconds = Number(Array.isArray(header) ? header[0] : header);
  return {
    kind: "answer",
    status: response.statusCode,
    body,
    ...(Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
  };
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined ? error.message : `${code}: ${error.message || "connection failed"}`;
}
