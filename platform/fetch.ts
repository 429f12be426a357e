import { Pool } from "undici";
import type { z } from "zod";
import { BreakerOpen, createBreaker } from "./breaker.ts";
import type { Door } from "./door.ts";
import { errorText } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { type Failure, fail, isProblemCode, type ProblemCode } from "./problem.ts";
import { traceHeaders, withSpan } from "./tracing.ts";
import type { Signer } from "./trust.ts";

export interface Call<T> {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** A POST with a key may be repeated: the other side does it once. */
  readonly idempotencyKey?: string;
  /** Epoch milliseconds; default now + the client's timeout. */
  readonly deadlineMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Shape of a good answer; one that does not fit is `bad-gateway`. */
  readonly response?: z.ZodType<T>;
}

export interface Answer<T> {
  readonly ok: true;
  readonly status: number;
  readonly body: T;
  readonly headers: Readonly<Record<string, string>>;
}

/** One service as another one calls it. */
export interface ServiceClient {
  /**
   * An answer with a problem document comes back as that Failure. No connection, no answer in time or an
   * open breaker is `unavailable` with `extra.sent` false when the other side cannot have seen the request.
   */
  call<T = unknown>(call: Call<T>): Promise<Answer<T> | Failure>;
  close(): Promise<void>;
}

export interface ServiceClientOptions {
  /** For messages, metrics and the breaker. */
  readonly name: string;
  readonly baseUrl: string;
  /** The cell whose token goes along; without a signer none does. */
  readonly audience?: string;
  readonly signer?: Signer;
  readonly metrics: Metrics;
  readonly timeoutMs?: number;
  readonly maxInFlight?: number;
  /** The way in, while the other side runs in this process. */
  readonly door?: () => Door | undefined;
  readonly random?: () => number;
}

const MAX_ATTEMPTS = 3;
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Repetitions may be a tenth of the calls, plus a few to start with: a retry storm ends by itself. */
const BUDGET_RATIO = 0.1;
const BUDGET_MAX = 20;

/** Makes a client with its own pool, breaker, cap and retry budget. */
export function createServiceClient(options: ServiceClientOptions): ServiceClient {
  const {
    name,
    baseUrl,
    signer,
    audience,
    metrics,
    timeoutMs = 5_000,
    maxInFlight = 256,
    random = Math.random,
  } = options;
  const url = new URL(baseUrl);
  const pool = new Pool(url.origin, {
    connections: 32,
    connect: { timeout: 1_000 },
    keepAliveTimeout: 4_000,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  const calls = metrics.counter("service_calls_total", "Calls to other services.", ["to", "code"]);
  let inFlight = 0;
  let budget = BUDGET_MAX;

  const breaker = createBreaker(
    `call ${name}`,
    (call: Call<unknown>, deadlineMs: number) => send(call, deadlineMs),
    {
      timeoutMs: timeoutMs + 1_000,
      isFailure: (error) => error instanceof NoAnswer || error instanceof Ailing,
    },
  );

  async function send(call: Call<unknown>, deadlineMs: number): Promise<Answer<unknown>> {
    const leftMs = Math.min(timeoutMs, deadlineMs - Date.now());
    if (leftMs <= 0) throw new NoAnswer("the deadline has passed", false);
    const headers: Record<string, string> = {
      accept: "application/json",
      "x-deadline-ms": String(deadlineMs),
      ...traceHeaders(),
      ...call.headers,
    };
    if (call.body !== undefined) headers["content-type"] = "application/json";
    if (call.idempotencyKey !== undefined) headers["idempotency-key"] = call.idempotencyKey;
    if (signer && audience !== undefined) headers.authorization = `Bearer ${await signer.token(audience)}`;
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    try {
      const { method, path } = call;
      const near = options.door?.()?.open({ method, path, headers, body });
      const answer = { ok: true, ...(await (near ?? overTheWire(call, headers, body, leftMs))) } as const;
      if (isAiling(answer)) throw new Ailing(answer);
      return answer;
    } catch (error) {
      if (error instanceof NoAnswer || error instanceof Ailing) throw error;
      throw new NoAnswer(errorText(error), wasSent(error));
    }
  }

  async function overTheWire(
    { method, path }: Call<unknown>,
    headers: Record<string, string>,
    body: string | undefined,
    leftMs: number,
  ): Promise<Omit<Answer<unknown>, "ok">> {
    const signal = AbortSignal.timeout(leftMs);
    const response = await pool.request({ method, path, headers, body: body ?? null, signal });
    const text = await readText(response.body);
    return { status: response.statusCode, body: toJson(text), headers: flat(response.headers) };
  }

  /** The call as the breaker sees it: an answer that tells of illness counts, and is an answer all the same. */
  async function fire(call: Call<unknown>, deadlineMs: number): Promise<Answer<unknown>> {
    try {
      return await breaker.fire(call, deadlineMs);
    } catch (error) {
      if (error instanceof Ailing) return error.answer;
      throw error;
    }
  }

  async function attempt<T>(call: Call<T>, deadlineMs: number): Promise<Answer<T> | Failure> {
    try {
      const answer = await fire(call as Call<unknown>, deadlineMs);
      calls.inc({ to: name, code: String(answer.status) });
      return judge(name, call, answer);
    } catch (error) {
      calls.inc({ to: name, code: error instanceof BreakerOpen ? "breaker" : "none" });
      const sent = error instanceof NoAnswer ? error.sent : !(error instanceof BreakerOpen);
      return fail("unavailable", `${name} cannot be reached now: ${errorText(error)}`, {
        sent,
        service: name,
      });
    }
  }

  return {
    async call(call) {
      if (inFlight >= maxInFlight)
        return fail("overloaded", `Too many calls to ${name} are under way.`, { sent: false });
      inFlight++;
      budget = Math.min(BUDGET_MAX, budget + BUDGET_RATIO);
      const deadlineMs = Math.min(call.deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + timeoutMs);
      try {
        return await withSpan(
          `${call.method} ${name}`,
          { "server.address": url.host, "url.path": call.path },
          async () => {
            for (let tried = 1; ; tried++) {
              const result = await attempt(call, deadlineMs);
              if (result.ok || tried >= MAX_ATTEMPTS || budget < 1 || !mayRepeat(call, result)) return result;
              if (breaker.isOpen()) return result;
              budget -= 1;
              const delayMs = random() * 50 * 2 ** tried;
              if (Date.now() + delayMs >= deadlineMs) return result;
              await new Promise((resolve) => setTimeout(resolve, delayMs));
            }
          },
          "client",
        );
      } finally {
        inFlight--;
      }
    },
    async close() {
      breaker.close();
      await pool.destroy();
    },
  };
}

/** Nothing usable came back. `sent` false: the other side cannot have seen the request. */
class NoAnswer extends Error {
  readonly sent: boolean;
  constructor(message: string, sent: boolean) {
    super(message);
    this.sent = sent;
  }
}

/** An answer that says that the other side itself is not well; carried past the breaker, so that it counts. */
class Ailing extends Error {
  readonly answer: Answer<unknown>;
  constructor(answer: Answer<unknown>) {
    super(`the answer was ${answer.status}`);
    this.answer = answer;
  }
}

/** Its own faults and overload are illness. A refusal that has a meaning of its own (not accepting, fenced) is a good answer. */
function isAiling({ status, body }: Answer<unknown>): boolean {
  if (status < 500) return false;
  const code = (body as { code?: unknown } | undefined)?.code;
  return !isProblemCode(code) || ILL.has(code);
}

const ILL: ReadonlySet<ProblemCode> = new Set([
  "internal",
  "bad-gateway",
  "unavailable",
  "overloaded",
  "deadline-exceeded",
]);

function mayRepeat(call: Call<unknown>, failure: Failure): boolean {
  if (
    failure.code !== "unavailable" &&
    failure.code !== "overloaded" &&
    failure.code !== "request-in-progress"
  )
    return false;
  return call.method === "GET" || call.idempotencyKey !== undefined;
}

function wasSent(error: unknown): boolean {
  const code = (error as { code?: string; cause?: { code?: string } }).code ?? "";
  return !["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "UND_ERR_CONNECT_TIMEOUT"].includes(
    code,
  );
}

function judge<T>(name: string, call: Call<T>, answer: Answer<unknown>): Answer<T> | Failure {
  // "Not modified" is a good answer to a conditional request; it has no body.
  if (answer.status === 304) return { ok: true, status: 304, body: undefined as T, headers: answer.headers };
  if (answer.status < 300) {
    if (!call.response) return answer as Answer<T>;
    const parsed = call.response.safeParse(answer.body);
    if (parsed.success) return { ...answer, body: parsed.data };
    return fail("bad-gateway", `${name} answered with something that does not fit its contract.`, {
      sent: true,
    });
  }
  const problem = (typeof answer.body === "object" ? answer.body : undefined) as
    | Record<string, unknown>
    | undefined;
  const retryAfter = Number(answer.headers["retry-after"]);
  if (isProblemCode(problem?.code)) {
    const { type: _t, title: _i, status: _s, detail, instance: _p, code, ...extra } = problem;
    return fail(
      problem.code,
      String(detail),
      { ...extra, sent: true },
      Number.isFinite(retryAfter) ? retryAfter : undefined,
    );
  }
  return fail("bad-gateway", `${name} answered ${answer.status}.`, { sent: true, status: answer.status });
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw new NoAnswer("the answer is too large", true);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function toJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
