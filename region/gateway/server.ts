import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fail } from "../../platform/problem.ts";
import { isSliceName } from "../../platform/slices.ts";
import { withRemoteTrace } from "../../platform/tracing.ts";
import type { User } from "../../platform/usertoken.ts";
import { cellHeaders, FORWARD_TIMEOUT_MS, sendFailure } from "./answers.ts";
import type { GatewayDeps } from "./deps.ts";
import { type CellDestination, destinationOf } from "./domain.ts";
import { centerMissing, mayEnter } from "./entry.ts";
import type { StreamOutcome } from "./forward.ts";
import { placeOrder } from "./orders.ts";
import { createUpgradeRelay } from "./upgrade.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 4_096;

/** Makes the gateway's server; it listens on nothing yet. */
export function createGatewayServer(deps: GatewayDeps): Server {
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, keepAliveTimeout: 15_000 },
    (request, response) => {
      const span = `${request.method} gateway`;
      withRemoteTrace(request.headers, span, () => answer(deps, request, response)).catch(
        (error: unknown) => {
          deps.log.error(
            { error: String(error), stack: (error as Error).stack },
            "request ended in an unexpected error",
          );
          sendFailure(
            deps,
            response,
            fail("internal", "An unexpected error; the log has it under this trace."),
            request,
          );
        },
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  const relay = createUpgradeRelay(deps);
  server.on("upgrade", (request, socket, head) => {
    relay(request, socket, head).catch(() => socket.destroy());
  });
  return server;
}

async function answer(deps: GatewayDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://gateway");
  const operation = request.method === "GET" ? await deps.operations(url.pathname) : undefined;
  if (operation) {
    response.writeHead(operation.status, { "content-type": operation.type }).end(operation.body);
    return;
  }
  const destination = destinationOf(request.method ?? "GET", url.pathname, isSliceName);
  if (destination.kind === "unknown")
    return sendFailure(deps, response, fail("not-found", "No such path; /openapi.json lists them."), request);
  const verified = await deps.users.verify(request.headers.authorization);
  if (!verified.ok) return sendFailure(deps, response, verified, request);
  if (destination.kind === "place") return placeOrder(deps, request, response, verified.user);
  const allowed = mayEnter(verified.user, destination);
  if (!allowed.ok) return sendFailure(deps, response, allowed, request);
  await passOn(deps, request, response, destination, url.search, allowed.user);
}

async function passOn(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
  destination: CellDestination,
  search: string,
  user: User,
): Promise<void> {
  const found = deps.fleet.cell(destination.center);
  const address = found?.entry.services[destination.slice];
  if (!found || !address)
    return sendFailure(deps, response, centerMissing(deps.fleet, destination.center), request);
  const method = request.method ?? "GET";
  const outgoing = {
    address,
    method,
    path: destination.path + search,
    headers: cellHeaders(request, user),
    body: method === "GET" || method === "HEAD" ? undefined : request,
    timeoutMs: FORWARD_TIMEOUT_MS,
  };
  const startedAtMs = deps.now();
  let outcome = await found.link.send(outgoing);
  if (outcome.kind !== "answered" && method === "GET" && outcome.reason === "ECONNRESET") {
    // A reading that met a kept-alive connection just as the cell closed it; nothing can happen twice by asking again.
    deps.metrics.retries.inc({ cell: destination.center });
    outcome = await found.link.send(outgoing);
  }
  deps.metrics.seconds.observe({ slice: destination.slice }, (deps.now() - startedAtMs) / 1000);
  sendOutcome(deps, request, response, destination, outcome);
}

function sendOutcome(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
  destination: CellDestination,
  outcome: StreamOutcome,
): void {
  const { center, slice } = destination;
  if (outcome.kind !== "answered") {
    deps.metrics.requests.inc({ cell: center, slice, code: "503" });
    const detail = `The center ${center} cannot be reached now (${outcome.reason}); repeat with the same Idempotency-Key.`;
    const code =
      outcome.kind === "ambiguous" && request.method !== "GET" ? "outcome-unknown" : "cell-unavailable";
    sendFailure(deps, response, fail(code, detail, undefined, 2), request);
    return;
  }
  const { response: inbound } = outcome;
  deps.metrics.requests.inc({ cell: center, slice, code: String(inbound.statusCode) });
  const { connection: _c, "keep-alive": _k, "transfer-encoding": _t, ...headers } = inbound.headers;
  response.writeHead(inbound.statusCode ?? 502, headers);
  inbound.on("error", () => response.destroy()).pipe(response);
  response.on("close", () => inbound.destroy());
}
