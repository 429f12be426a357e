import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { type Failure, fail } from "../../platform/problem.ts";
import type { User } from "../../platform/usertoken.ts";
import { cellHeaders, sendFailure } from "./answers.ts";
import { historyQuery } from "./contract.ts";
import type { GatewayDeps } from "./deps.ts";
import { type CellPage, cellCursorOf, mergePages } from "./domain.ts";
import { parseJson, readAnswer } from "./forward.ts";

/** Cells that are asked at once, and for how long each. */
const AT_ONCE = 8;
const CELL_TIMEOUT_MS = 500;
/** Nobody waits longer for the whole, however many cells there are. */
const BUDGET_MS = 4_000;
const DEFAULT_LIMIT = 50;

const pageSchema = z.object({
  orders: z.array(z.looseObject({ id: z.string() })),
  nextCursor: z.string().optional(),
});

/**
 * `GET /v1/orders`: a user's own orders in all cells, newest first. A cell that does not answer in time is named in `missing`, and
 * the page says that it is `partial`.
 */
export async function listHistory(
  deps: GatewayDeps,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  search: URLSearchParams,
  user: User,
): Promise<void> {
  const { request, response } = exchange;
  const asked = readQuery(search);
  if (!asked.ok) return sendFailure(deps, response, asked, request);
  const table = deps.fleet.table();
  if (!table) {
    const starting = fail("unavailable", "The gateway has no routing table yet; try again.", undefined, 2);
    return sendFailure(deps, response, starting, request);
  }
  if (!user.roles.some((role) => role === "customer" || role === "staff"))
    return sendFailure(deps, response, fail("forbidden", "This needs the role customer."), request);
  // Staff have orders of their own here, like everybody: what they see of others is a cell's own list.
  const headers = cellHeaders(request, { ...user, roles: ["customer"] });
  const { limit, cursor } = asked;
  const untilMs = deps.now() + BUDGET_MS;
  const names = table.cells.map(({ name }) => name);
  const answers = await inTurns(names, AT_ONCE, async (center) => {
    const timeoutMs = Math.min(CELL_TIMEOUT_MS, untilMs - deps.now());
    if (timeoutMs <= 0) return { center, page: undefined };
    const path = `/v1/orders?${queryOf(center, limit, cursor)}`;
    return { center, page: await askCell(deps, center, { path, headers, timeoutMs }) };
  });
  const pages = answers.flatMap(({ center, page }) => (page ? [{ center, ...page }] : []));
  const missing = answers.filter(({ page }) => !page).map(({ center }) => center);
  if (pages.length === 0 && missing.length > 0) {
    const none = fail("cell-unavailable", "No center can be asked now; try again.", undefined, 2);
    return sendFailure(deps, response, none, request);
  }
  const body = { ...mergePages(pages, limit), partial: missing.length > 0, missing };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

type Asked = { readonly ok: true; readonly limit: number; readonly cursor: string | undefined } | Failure;

function readQuery(search: URLSearchParams): Asked {
  const names = [...search.keys()];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return fail("invalid-request", `Give ${twice.slice(0, 64)} once.`);
  const parsed = historyQuery.safeParse(Object.fromEntries(search));
  if (!parsed.success) return fail("invalid-request", z.prettifyError(parsed.error));
  return { ok: true, limit: parsed.data.limit ?? DEFAULT_LIMIT, cursor: parsed.data.cursor };
}

function queryOf(center: string, limit: number, cursor: string | undefined): URLSearchParams {
  const query = new URLSearchParams({ limit: String(limit) });
  if (cursor !== undefined) query.set("cursor", cellCursorOf(center, cursor));
  return query;
}

async function askCell(
  deps: GatewayDeps,
  center: string,
  call: { path: string; headers: Record<string, string>; timeoutMs: number },
): Promise<Omit<CellPage, "center"> | undefined> {
  const found = deps.fleet.cell(center);
  const address = found?.entry.services.orders;
  if (!found || !address) return undefined;
  const { "content-length": _length, "content-type": _type, ...headers } = call.headers;
  const outcome = await found.link.send({ ...call, headers, address, method: "GET" });
  if (outcome.kind !== "answered") return undefined;
  const answer = await readAnswer(outcome.response);
  if (answer.kind !== "answered") return undefined;
  deps.metrics.requests.inc({ cell: center, slice: "orders", code: String(answer.status) });
  const parsed = answer.status === 200 ? pageSchema.safeParse(parseJson(answer.body)) : undefined;
  return parsed?.success ? parsed.data : undefined;
}

/** Maps with at most `width` calls under way at once; answers in the order of `items`. */
async function inTurns<T, R>(
  items: readonly T[],
  width: number,
  call: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++)
      results[index] = await call(items[index] as T);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
