import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import express, { type Request, type Response } from "express";
import type { Health } from "./health.ts";
import type { Route } from "./http.ts";
import { type AnswerOptions, answerRoute, lastResort, sendFailure } from "./http-answer.ts";
import { openApiOf } from "./openapi.ts";
import { fail } from "./problem.ts";

export interface HttpOptions extends AnswerOptions {
  readonly routes: readonly Route[];
  readonly port: number;
  readonly host: string;
  readonly health: Health;
  readonly openapi: { readonly title: string; readonly version?: string };
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface HttpServer {
  readonly port: number;
  /**
   * From now on every answer tells its client to send nothing more on the same connection; new ones are still taken. Said
   * a while before the close, it leaves no connection on which a request could cross with the end.
   */
  farewell(): void;
  /** Takes no new connections, lets what is under way end, and closes. */
  close(): Promise<void>;
}

/**
 * Clients are told of it and let an idle connection go before. Shorter than the time between farewell and close: a connection that
 * nobody used in between would meet the close, and a request sent on it just then is lost without anybody knowing whether it was read.
 */
const KEEP_ALIVE_MS = 3_000;
const CLOSE_GRACE_MS = 8_000;
const CLOSE_POLL_MS = 50;
/** A request's head and body must be here by then; deadlines of handlers are separate. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Serves the routes with `/livez`, `/readyz`, `/metrics` and `/openapi.json` beside them. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const app = express();
  app.disable("x-powered-by").disable("etag").set("query parser", "simple");
  const farewell = addFarewell(app);
  addOperations(app, options);
  addRoutes(app, options);
  app.use((request: Request, response: Response) => {
    sendFailure(response, fail("not-found", "No such path; /openapi.json lists them."), request.path);
  });
  app.use(lastResort(options.log));

  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 10_000, requestTimeout: REQUEST_TIMEOUT_MS },
    app,
  );
  server.maxConnections = 8_192;
  if (options.upgrade) server.on("upgrade", options.upgrade);
  await listen(server, options.port, options.host);
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    farewell,
    close() {
      farewell();
      return closeServer(server);
    },
  };
}

/** Once called, every answer tells its client not to send more on the same connection. */
function addFarewell(app: express.Express): () => void {
  const open = new Set<Response>();
  let closing = false;
  app.use((_request, response, next) => {
    if (closing) response.setHeader("connection", "close");
    open.add(response);
    response.on("close", () => open.delete(response));
    next();
  });
  return () => {
    closing = true;
    for (const response of open) if (!response.headersSent) response.setHeader("connection", "close");
  };
}

function addRoutes(app: express.Express, options: HttpOptions): void {
  const handle = answerRoute(options);
  const methods = new Map<string, string[]>();
  for (const route of options.routes) {
    const method = route.method.toLowerCase() as "get" | "post" | "put" | "delete";
    app[method](route.path, handle(route));
    methods.set(route.path, [...(methods.get(route.path) ?? []), route.method]);
  }
  for (const [path, known] of methods)
    app.all(path, (request, response) => {
      response.setHeader("allow", known.join(", "));
      const detail = `${request.method} is not offered here; use ${known.join(" or ")}.`;
      sendFailure(response, fail("method-not-allowed", detail), request.path);
    });
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

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A connection that becomes idle while the server closes would stay until its keep-alive is over.
    const idle = setInterval(() => server.closeIdleConnections(), CLOSE_POLL_MS);
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
