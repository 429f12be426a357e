import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { type Failure, fail } from "../../platform/problem.ts";
import { coordinatesSchema } from "../../platform/schemas.ts";
import { verifySignature } from "../../platform/trust.ts";
import type { User } from "../../platform/usertoken.ts";
import { cellHeaders, FORWARD_TIMEOUT_MS, sendFailure } from "./answers.ts";
import { readBody } from "./body.ts";
import type { GatewayDeps } from "./deps.ts";
import { type PlacementRequest, type RouteDecision, route } from "./domain.ts";
import { parseJson, readAnswer } from "./forward.ts";
import { passedBackHeaders } from "./headers.ts";
import type { Answered, Closing, ForwardOutcome } from "./outcomes.ts";
import type { PinKey } from "./pins.ts";
import { place } from "./placement.ts";

/** As much of an order as routing needs; the cell checks the whole. */
const orderSchema = z.looseObject({
  deliverTo: coordinatesSchema,
  lines: z
    .array(z.looseObject({ sku: z.string().min(1).max(64) }))
    .min(1)
    .max(100),
});

/** The header under which a cell proves, by its signature, that it took nothing for a key. */
const REFUSAL_HEADER = "x-cells-refusal";
const refusalSchema = z.object({ key: z.string(), code: z.string(), center: z.string() });

/** `POST /v1/orders`: chooses the cell, pins the key, forwards, and answers with what the cell said. */
export async function placeOrder(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
  user: User,
): Promise<void> {
  const read = await readOrder(request);
  if (!read.ok) return sendFailure(deps, response, read, request);
  const table = deps.fleet.table();
  if (!table) {
    const starting = fail("unavailable", "The gateway has no routing table yet; try again.", undefined, 2);
    return sendFailure(deps, response, starting, request);
  }
  const decision = route(table, read.placement, deps.fleet.views());
  const startedAtMs = deps.now();
  let answeredBy: string | undefined;
  const placed = await place(
    {
      pins: deps.pins,
      forward: (cell) => {
        answeredBy = cell;
        return forwardOrder(deps, request, cell, user, read.raw);
      },
      closeKey: (cell, key) => closeKey(deps, cell, key),
      refusalCode: (cell, key, answer) => refusalCode(deps, cell, key, answer),
      log: (fields, message) => deps.log.warn(fields, message),
    },
    {
      key: { sub: user.sub, key: read.key },
      bodyHash: read.bodyHash,
      decision,
      covering: coveringOf(route(table, read.placement)),
    },
  );
  deps.metrics.seconds.observe({ slice: "orders" }, (deps.now() - startedAtMs) / 1000);
  if ("ok" in placed) return sendFailure(deps, response, placed, request);
  countReroute(deps, read.placement, answeredBy, placed.status);
  if (answeredBy)
    deps.metrics.requests.inc({ cell: answeredBy, slice: "orders", code: String(placed.status) });
  const headers = passedBackHeaders(placed.headers);
  response.writeHead(placed.status, { ...headers, "content-length": placed.body.length }).end(placed.body);
}

/** Rerouted is what another cell took than the table alone would have chosen: because of health, load, stock or a refusal. */
function countReroute(
  deps: GatewayDeps,
  placement: PlacementRequest,
  cell: string | undefined,
  status: number,
): void {
  const table = deps.fleet.table();
  if (!table || !cell || status !== 201) return;
  const intended = route(table, placement);
  const first = intended.ok ? intended.candidates[0] : undefined;
  if (first && first !== cell) deps.metrics.rerouted.inc({ from: first, to: cell });
}

async function forwardOrder(
  deps: GatewayDeps,
  request: IncomingMessage,
  cell: string,
  user: User,
  body: Buffer,
): Promise<ForwardOutcome> {
  const found = deps.fleet.cell(cell);
  const address = found?.entry.services.orders;
  if (!found || !address) return { kind: "not-sent", reason: "the center is no longer in the routing table" };
  const headers = { ...cellHeaders(request, user), "content-length": String(body.length) };
  const outcome = await found.link.send({
    address,
    method: "POST",
    path: "/v1/orders",
    headers,
    body,
    timeoutMs: FORWARD_TIMEOUT_MS,
  });
  if (outcome.kind !== "answered") {
    if (outcome.cause === undefined) deps.fleet.observe(cell, false);
    return outcome;
  }
  return readAnswer(outcome.response);
}

/** All cells that cover an address: those in service best first, the others behind them by name. */
function coveringOf(intended: RouteDecision): string[] {
  const others = intended.passedOver.map(({ cell }) => cell).sort();
  return intended.ok ? [...intended.candidates, ...others] : [];
}

const CLOSE_TIMEOUT_MS = 2_000;
const closeKeyAnswer = z.object({ orderId: z.string().optional() });

async function closeKey(deps: GatewayDeps, cell: string, key: PinKey): Promise<Closing> {
  const found = deps.fleet.cell(cell);
  const address = found?.entry.services.orders;
  if (!found || !address) return "unknown";
  const body = Buffer.from(JSON.stringify(key));
  const outcome = await found.link.send({
    address,
    method: "POST",
    path: "/internal/keys/close",
    headers: { "content-type": "application/json", "content-length": String(body.length) },
    body,
    timeoutMs: CLOSE_TIMEOUT_MS,
  });
  if (outcome.kind !== "answered") return "unknown";
  const answer = await readAnswer(outcome.response);
  if (answer.kind !== "answered" || answer.status !== 200) return "unknown";
  const parsed = closeKeyAnswer.safeParse(parseJson(answer.body));
  if (!parsed.success) return "unknown";
  return parsed.data.orderId === undefined ? "closed" : "taken";
}

async function refusalCode(
  deps: GatewayDeps,
  cell: string,
  key: string,
  answer: Answered,
): Promise<string | undefined> {
  const header = answer.headers[REFUSAL_HEADER];
  const publicKey = deps.fleet.cell(cell)?.entry.publicKey;
  if (typeof header !== "string" || !publicKey) return undefined;
  const claims = refusalSchema.safeParse(await verifySignature(header, publicKey));
  if (!claims.success || claims.data.key !== key || claims.data.center !== cell) {
    deps.log.warn({ cell }, "a refusal whose signature does not fit was ignored");
    return undefined;
  }
  return claims.data.code;
}

type ReadOrder = {
  readonly ok: true;
  readonly key: string;
  readonly raw: Buffer;
  readonly bodyHash: string;
  readonly placement: PlacementRequest;
};

async function readOrder(request: IncomingMessage): Promise<ReadOrder | Failure> {
  const key = request.headers["idempotency-key"];
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,128}$/.test(key))
    return fail(
      "idempotency-key-missing",
      "Send an Idempotency-Key of 1 to 128 visible ASCII characters, the same one again when you repeat the request.",
    );
  const body = await readBody(request);
  if (!body.ok) return body;
  const { raw } = body;
  let json: unknown;
  try {
    json = JSON.parse(raw.toString("utf8"));
  } catch {
    return fail("invalid-request", "The body is not JSON.");
  }
  const parsed = orderSchema.safeParse(json);
  if (!parsed.success) return fail("invalid-request", z.prettifyError(parsed.error));
  const placement = {
    deliverTo: parsed.data.deliverTo,
    skus: [...new Set(parsed.data.lines.map(({ sku }) => sku))],
  };
  return { ok: true, key, raw, bodyHash: createHash("sha256").update(raw).digest("hex"), placement };
}
