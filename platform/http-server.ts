import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from "express";
import type { Health } from "./health.ts";
import type { HttpRequest, HttpResult, Principal, Route } from "./http.ts";
import type { IdempotencyStore } from "./idempotency.ts";
import { errorText, type Logger } from "./log.ts";
import { DURATION_BUCKETS, type Metrics } from "./metrics.ts";
import { openApiOf } from "./openapi.ts";
import { type Failure, fail, isFailure, PROBLEMS, retryAfterOf, toProblem } from "./problem.ts";
import { RedisAway } from "./redis.ts";
import { admit, readInput } from "./request.ts";
import { Contended, Fenced, isDatabaseAway } from "./sql.ts";
import { withRemoteTrace } from "./tracing.ts";
import type { Verifier } from "./trust.ts";

export interface HttpOptions {
  readonly routes: readonly Route[];
  readonly port: number;
  readonly host: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly openapi: { readonly title: string; readonly version?: string };
  /** Without one, only `public` routes can be called. */
  readonly verifier?: Verifier;
  /** Needed when a route asks for an Idempotency-Key. */
  readonly idempotency?: IdempotencyStore;
  readonly maxBodyBytes?: number;
  /** Requests under way at once; one more is answered 503 at once. Event streams do not count. */
  readonly maxConcurrent?: number;
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface HttpServer {
  readonly port: number;
  /** Takes no new connections, lets what is under way end, and closes. */
  close(): Promise<void>;
}

const MAX_DEADLINE_MS = 30_000;
const CLOSE_GRACE_MS = 8_000;

/** Serves the routes with `/livez`, `/readyz`, `/metrics` and `/openapi.json` beside them. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { routes, metrics, maxBodyBytes = 262_144, maxConcurrent = 512 } = options;
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", "simple");
  addOperations(app, options);

  const seconds = metrics.histogram("http_request_seconds", "Time to the answer.", DURATION_BUCKETS, [
    "method",
    "route",
    "code",
  ]);
  const gate = { inFlight: 0 };
  // Any type is read as text here, so that a wrong one is told apart from a broken body.
  const parseBody = express.text({ limit: maxBodyBytes, type: () => true });
  for (const route of routes) {
    const method = route.method.toLowerCase() as "get" | "post" | "put" | "delete";
    app[method](route.path, parseBody, observe(route, seconds), handle(route, options, gate, maxConcurrent));
  }
  app.use((request: Request, response: Response) => {
    sendFailure(response, fail("not-found", "No such path; /openapi.json lists them."), request);
  });
  app.use(lastResort(options.log));

  const server = createServer({ keepAliveTimeout: 15_000, headersTimeout: 10_000 }, app);
  server.maxConnections = 8_192;
  if (options.upgrade) server.on("upgrade", options.upgrade);
  await listen(server, options.port, options.host);
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    close: () => closeServer(server),
  };
}

function addOperations(app: express.Express, options: HttpOptions): void {
  const { health, metrics, routes, openapi } = options;
  let document: unknown;
  app.get("/livez", (_request, response) => {
    const report = health.live();
    response.status(report.ok ? 200 : 503).json(report);
  });
  app.get("/readyz", async (_request, response) => {
    const report = await health.ready();
    response.status(report.ok ? 200 : 503).json(report);
  });
  app.get("/metrics", async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.render());
  });
  app.get("/openapi.json", (_request, response) => {
    document ??= openApiOf(openapi.title, openapi.version ?? "1", routes);
    response.json(document);
  });
}

function observe(route: Route, seconds: ReturnType<Metrics["histogram"]>): RequestHandler {
  return (_request, response, next) => {
    const startedAtMs = performance.now();
    response.on("close", () => {
      const labels = { method: route.method, route: route.path, code: String(response.statusCode) };
      seconds.observe(labels, (performance.now() - startedAtMs) / 1000);
    });
    next();
  };
}

function handle(
  route: Route,
  options: HttpOptions,
  gate: { inFlight: number },
  maxConcurrent: number,
): RequestHandler {
  return async (request, response) => {
    if (!route.stream && gate.inFlight >= maxConcurrent)
      return sendFailure(
        response,
        fail("overloaded", "Too many requests are under way here; try again."),
        request,
      );
    if (!route.stream) gate.inFlight++;
    try {
      await withRemoteTrace(request.headers, `${route.method} ${route.path}`, () =>
        answer(route, options, request, response),
      );
    } catch (error) {
      sendFailure(response, unexpected(error, options.log, route), request);
    } finally {
      if (!route.stream) gate.inFlight--;
    }
  };
}

async function answer(
  route: Route,
  options: HttpOptions,
  request: Request,
  response: Response,
): Promise<void> {
  const principal = await admit(route, request.headers, options.verifier);
  if (isFailure(principal)) return sendFailure(response, principal, request);
  const input = readInput(route, request);
  if (isFailure(input)) return sendFailure(response, input, request);
  const { idempotencyKey } = input;

  const asked = Number(request.headers["x-deadline-ms"]);
  const latestMs = Date.now() + MAX_DEADLINE_MS;
  const deadlineMs = Number.isFinite(asked) && asked > 0 ? Math.min(asked, latestMs) : latestMs;
  const ended = new AbortController();
  const timer = route.stream
    ? undefined
    : setTimeout(() => ended.abort(), Math.max(0, deadlineMs - Date.now()));
  response.on("close", () => {
    clearTimeout(timer);
    ended.abort();
  });
  if (deadlineMs <= Date.now())
    return sendFailure(
      response,
      fail("deadline-exceeded", "The deadline of this request has passed."),
      request,
    );

  const run = () => route.handler(requestFor(request, response, input, principal, deadlineMs, ended.signal));
  const result =
    idempotencyKey !== undefined && options.idempotency
      ? await options.idempotency.run(
          { key: idempotencyKey, scope: scopeOf(principal, route, request), body: input.rawBody },
          run,
        )
      : await run();
  if (response.headersSent) return;
  if (isFailure(result)) return sendFailure(response, result, request);
  if (route.stream) return;
  sendResult(response, result);
}

function requestFor(
  request: Request,
  response: Response,
  input: { body: unknown; query: Readonly<Record<string, string>>; idempotencyKey: string | undefined },
  principal: Principal,
  deadlineMs: number,
  signal: AbortSignal,
): HttpRequest<never> {
  return {
    method: request.method,
    path: request.path,
    params: request.params as Record<string, string>,
    query: input.query,
    headers: request.headers as Record<string, string | undefined>,
    body: input.body as never,
    principal,
    idempotencyKey: input.idempotencyKey,
    deadlineMs,
    signal,
    raw: { req: request, res: response },
  };
}

/** One user's key on one path says nothing about another's. */
function scopeOf(principal: Principal, route: Route, request: Request): string {
  return `${principal.user?.sub ?? principal.subject} ${route.method} ${request.path}`;
}

function sendResult(response: Response, result: HttpResult): void {
  for (const [name, value] of Object.entries(result.headers ?? {})) response.setHeader(name, value);
  if (result.body === undefined) response.status(result.status).end();
  else response.status(result.status).json(result.body);
}

/** Answers with an RFC 9457 problem. */
function sendFailure(response: Response, failure: Failure, request: Request): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const seconds = retryAfterOf(failure);
  if (seconds !== undefined) response.setHeader("retry-after", String(seconds));
  for (const [name, value] of Object.entries(failure.headers ?? {})) response.setHeader(name, value);
  response.status(PROBLEMS[failure.code].status).type("application/problem+json");
  response.send(JSON.stringify(toProblem(failure, request.path)));
}

function unexpected(error: unknown, log: Logger, route: Route): Failure {
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

function lastResort(log: Logger): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const { type, status } = error as { type?: string; status?: number };
    if (type === "entity.too.large")
      return sendFailure(
        response,
        fail("payload-too-large", "The body is larger than this operation takes."),
        request,
      );
    if (status !== undefined && status < 500)
      return sendFailure(response, fail("invalid-request", "The request could not be read."), request);
    log.error({ error: errorText(error) }, "a request ended in an unexpected error");
    sendFailure(
      response,
      fail("internal", "An unexpected error; the log has it under this trace id."),
      request,
    );
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
