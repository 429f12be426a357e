import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fail } from "../../platform/problem.ts";
import { isSliceName } from "../../platform/slices.ts";
import { withRemoteTrace } from "../../platform/tracing.ts";
import { sendFailure } from "./answers.ts";
import type { GatewayDeps } from "./deps.ts";
import { destinationOf } from "./domain.ts";
import { mayEnter } from "./entry.ts";
import { listHistory } from "./history.ts";
import { placeOrder } from "./orders.ts";
import { relay } from "./relay.ts";
import { createUpgradeRelay } from "./upgrade.ts";
import { createWebhookEntry, type WebhookEntry } from "./webhooks.ts";

const HEADERS_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 4_096;

/** Makes the gateway's server; it listens on nothing yet. */
export function createGatewayServer(deps: GatewayDeps): Server {
  const enterWebhook = createWebhookEntry();
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, keepAliveTimeout: 15_000 },
    (request, response) => {
      const span = `${request.method} gateway`;
      withRemoteTrace(request.headers, span, () => answer(deps, request, response, enterWebhook)).catch(
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
  const upgrade = createUpgradeRelay(deps);
  server.on("upgrade", (request, socket, head) => {
    upgrade(request, socket, head).catch(() => socket.destroy());
  });
  return server;
}

async function answer(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
  enterWebhook: WebhookEntry,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://gateway");
  const operation = request.method === "GET" ? await deps.operations(url.pathname) : undefined;
  if (operation) {
    response.writeHead(operation.status, { "content-type": operation.type }).end(operation.body);
    return;
  }
  const destination = destinationOf(request.method ?? "GET", url.pathname, isSliceName);
  if (destination.kind === "unknown")
    return sendFailure(deps, response, fail("not-found", "No such path; /openapi.json lists them."), request);
  if (destination.kind === "webhook") return enterWebhook({ deps, request, response, destination });
  const verified = await deps.users.verify(request.headers.authorization);
  if (!verified.ok) return sendFailure(deps, response, verified, request);
  if (destination.kind === "place") return placeOrder(deps, request, response, verified.user);
  if (destination.kind === "history")
    return listHistory(deps, { request, response }, url.searchParams, verified.user);
  const allowed = mayEnter(verified.user, destination);
  if (!allowed.ok) return sendFailure(deps, response, allowed, request);
  await relay({ deps, request, response, destination }, url.search, allowed.user);
}
