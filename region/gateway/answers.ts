import type { IncomingMessage, ServerResponse } from "node:http";
import { type Failure, PROBLEMS, retryAfterOf, toProblem } from "../../platform/problem.ts";
import { traceHeaders } from "../../platform/tracing.ts";
import type { User } from "../../platform/usertoken.ts";
import type { GatewayDeps } from "./deps.ts";
import { passedOnHeaders } from "./headers.ts";

/** Until the head of a cell's answer. The cells cap their own work at the same figure. */
export const FORWARD_TIMEOUT_MS = 10_000;

/** What every request to a cell carries: the client's own headers, the trace, the deadline, and the user, if any, as this gateway knows them. */
export function cellHeaders(request: IncomingMessage, user: User | undefined): Record<string, string> {
  return {
    ...passedOnHeaders(request.headers),
    ...traceHeaders(),
    ...(user ? { "x-cells-user": user.sub, "x-cells-roles": user.roles.join(",") } : {}),
    "x-deadline-ms": String(Date.now() + FORWARD_TIMEOUT_MS),
  };
}

/** Answers with an RFC 9457 problem; the connection is closed when a body may still be under way. */
export function sendFailure(
  deps: Pick<GatewayDeps, "metrics">,
  response: ServerResponse,
  failure: Failure,
  request: IncomingMessage,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  deps.metrics.rejections.inc({ reason: failure.code });
  const { status } = PROBLEMS[failure.code];
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  const seconds = retryAfterOf(failure);
  if (seconds !== undefined) headers["retry-after"] = String(seconds);
  if (!request.complete) headers.connection = "close";
  response.writeHead(status, headers).end(JSON.stringify(toProblem(failure, request.url ?? "/")));
}
