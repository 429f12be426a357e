import type { IncomingMessage, ServerResponse } from "node:http";
import { fail, type ProblemCode } from "../../platform/problem.ts";
import type { User } from "../../platform/usertoken.ts";
import { cellHeaders, FORWARD_TIMEOUT_MS, sendFailure } from "./answers.ts";
import { readBody } from "./body.ts";
import type { GatewayDeps } from "./deps.ts";
import type { CellDestination, WebhookDestination } from "./domain.ts";
import { centerMissing } from "./entry.ts";
import { isEventStream, MAX_ANSWER_BYTES, type StreamOutcome } from "./forward.ts";
import { passedBackHeaders } from "./headers.ts";

interface Exchange {
  readonly deps: GatewayDeps;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly destination: CellDestination | WebhookDestination;
}

/** Passes a request on to the slice that its path names, and the answer back as it comes. No user: who it is from proves itself to the cell. */
export async function relay(exchange: Exchange, search: string, user: User | undefined): Promise<void> {
  const { deps, request, response, destination } = exchange;
  const found = deps.fleet.cell(destination.center);
  const address = found?.entry.services[destination.slice];
  if (!found || !address)
    return sendFailure(deps, response, centerMissing(deps.fleet, destination.center), request);
  const body = await readBody(request);
  if (!body.ok) return sendFailure(deps, response, body, request);
  const method = request.method ?? "GET";
  const hasBody = body.raw.length > 0 || (method !== "GET" && method !== "HEAD");
  const outgoing = {
    address,
    method,
    path: destination.path + search,
    headers: {
      ...cellHeaders(request, user),
      ...(hasBody ? { "content-length": String(body.raw.length) } : {}),
    },
    body: hasBody ? body.raw : undefined,
    timeoutMs: FORWARD_TIMEOUT_MS,
    signal: signalOf(response),
  };
  const startedAtMs = deps.now();
  let outcome = await found.link.send(outgoing);
  if (outcome.kind !== "answered" && method === "GET" && outcome.reason === "ECONNRESET") {
    // A reading that met a kept-alive connection just as the cell closed it; nothing can happen twice by asking again.
    deps.metrics.retries.inc({ cell: destination.center });
    outcome = await found.link.send(outgoing);
  }
  deps.metrics.seconds.observe({ slice: destination.slice }, (deps.now() - startedAtMs) / 1000);
  passBack(exchange, outcome);
}

/** Aborts when the client goes away before it has its answer. */
function signalOf(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  if (response.destroyed) gone.abort();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

function passBack(exchange: Exchange, outcome: StreamOutcome): void {
  const { deps, request, response, destination } = exchange;
  const { center, slice } = destination;
  if (outcome.kind !== "answered") {
    refuse(exchange, outcome);
    return;
  }
  const { response: inbound } = outcome;
  const isLimited = !isEventStream(inbound);
  if (isLimited && Number(inbound.headers["content-length"] ?? 0) > MAX_ANSWER_BYTES) {
    inbound.destroy();
    deps.metrics.requests.inc({ cell: center, slice, code: "502" });
    deps.log.warn({ cell: center, slice }, "an answer of a cell was larger than the gateway passes on");
    const limit = `${MAX_ANSWER_BYTES / 1024 / 1024} MiB`;
    const tooLarge = fail("bad-gateway", `The answer of ${center} is over ${limit}; ask for a smaller part.`);
    sendFailure(deps, response, tooLarge, request);
    return;
  }
  deps.metrics.requests.inc({ cell: center, slice, code: String(inbound.statusCode) });
  response.writeHead(inbound.statusCode ?? 502, passedBackHeaders(inbound.headers));
  // Otherwise the head waits for the first bytes of the body, and a stream may have none for long.
  response.flushHeaders();
  if (isLimited) {
    let length = 0;
    inbound.on("data", (chunk: Buffer) => {
      length += chunk.length;
      // The head has gone already: breaking off is the only way left to say that this is not the whole.
      if (length > MAX_ANSWER_BYTES) response.destroy();
    });
  }
  inbound.on("error", () => response.destroy()).pipe(response);
  response.on("close", () => inbound.destroy());
}

function refuse(
  { deps, request, response, destination }: Exchange,
  outcome: Exclude<StreamOutcome, { kind: "answered" }>,
): void {
  const { center, slice } = destination;
  const isGone = outcome.cause === "client-gone";
  // 499 is what proxies note for a client who did not wait.
  deps.metrics.requests.inc({ cell: center, slice, code: isGone ? "499" : "503" });
  if (isGone) return;
  const isReading = request.method === "GET" || request.method === "HEAD";
  const code: ProblemCode =
    outcome.cause === "full"
      ? "overloaded"
      : outcome.kind === "ambiguous" && !isReading
        ? "outcome-unknown"
        : "cell-unavailable";
  const repeat = isReading ? "try again" : "repeat with the same Idempotency-Key";
  const detail = `The center ${center} cannot be asked now (${outcome.reason}); ${repeat}.`;
  sendFailure(deps, response, fail(code, detail, undefined, 2), request);
}
