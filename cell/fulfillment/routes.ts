import { defineRoute, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import {
  type PickListAnswer,
  packAnswer,
  packBody,
  pickListAnswer,
  pickListsAnswer,
  pickListsQuery,
  recountBody,
  scanBody,
  shortBody,
  startBody,
} from "./contract.ts";
import type { FulfillmentService } from "./service.ts";
import { findPickList, listPickLists, type PickList } from "./store.ts";

const PICKERS = { roles: ["picker" as const] };
const PAGE = 50;
/** Steps that carry their own id, or lead where the list is already when they come again. A wrong weight is told again as it was. */
const IDEMPOTENT = { idempotency: "own" } as const;

/** What pickers' devices call. */
export function createRoutes(deps: { service: FulfillmentService; sql: Sql }): Route[] {
  const { service, sql } = deps;
  const path = (rest: string) => `/v1/pick-lists/:pickListId${rest}`;
  const answer = { 200: pickListAnswer };
  return [
    defineRoute({
      method: "GET",
      path: "/v1/pick-lists",
      summary: "Lists pick lists, oldest first.",
      access: PICKERS,
      query: pickListsQuery,
      responses: { 200: pickListsAnswer },
      async handler({ query }) {
        const page = await listPickLists(sql, {
          state: query.state,
          cursor: query.cursor,
          limit: Number(query.limit ?? PAGE),
        });
        return ok({
          pickLists: page.lists.map(toAnswer),
          ...(page.nextCursor ? { nextCursor: page.nextCursor } : {}),
        });
      },
    }),
    defineRoute({
      method: "GET",
      path: path(""),
      summary: "One pick list, its lines in the order of walking.",
      access: PICKERS,
      responses: answer,
      async handler({ params }) {
        const list = await findPickList(sql, params.pickListId ?? "");
        return list ? ok(toAnswer(list)) : fail("not-found", "There is no such pick list.");
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/start"),
      ...IDEMPOTENT,
      summary: "A picker takes the list with a tote.",
      access: PICKERS,
      body: startBody,
      responses: answer,
      async handler({ params, body }) {
        const done = await service.start(params.pickListId ?? "", body.tote);
        return done.ok ? ok(toAnswer(done.list)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/scans"),
      ...IDEMPOTENT,
      summary: "Units of a line went into the tote; a wrong bin or article changes nothing.",
      access: PICKERS,
      body: scanBody,
      responses: answer,
      async handler({ params, body, principal }) {
        const picker = principal.user?.sub ?? "unknown";
        const done = await service.scan(params.pickListId ?? "", body, picker);
        return done.ok ? ok(toAnswer(done.list)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/shorts"),
      ...IDEMPOTENT,
      summary: "Units of a line are not in the bin.",
      access: PICKERS,
      body: shortBody,
      responses: answer,
      async handler({ params, body, principal }) {
        const picker = principal.user?.sub ?? "unknown";
        const done = await service.short(params.pickListId ?? "", body, picker);
        return done.ok ? ok(toAnswer(done.list)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/recount"),
      ...IDEMPOTENT,
      summary: "How many units of a line are in the tote, after the package weighed too little or too much.",
      access: PICKERS,
      body: recountBody,
      responses: answer,
      async handler({ params, body, principal }) {
        const picker = principal.user?.sub ?? "unknown";
        const done = await service.recount(params.pickListId ?? "", body, picker);
        return done.ok ? ok(toAnswer(done.list)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/pack"),
      summary: "The package is closed and weighed; a weight that cannot be right asks for a recount.",
      access: PICKERS,
      body: packBody,
      responses: { 200: packAnswer },
      async handler({ params, body }) {
        const done = await service.pack(params.pickListId ?? "", body.weightGrams, body.packageBarcode);
        return done.ok ? ok({ packageBarcode: done.list.packageBarcode }) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/putback"),
      ...IDEMPOTENT,
      summary: "What was picked of a cancelled order is back on the shelves.",
      access: PICKERS,
      responses: answer,
      async handler({ params }) {
        const done = await service.putBack(params.pickListId ?? "");
        return done.ok ? ok(toAnswer(done.list)) : done;
      },
    }),
  ];
}

function toAnswer(list: PickList): PickListAnswer {
  return {
    id: list.id,
    orderId: list.orderId,
    state: list.state,
    ...(list.tote === undefined ? {} : { tote: list.tote }),
    ...(list.packageBarcode === undefined ? {} : { packageBarcode: list.packageBarcode }),
    promisedAt: list.promisedAt.toISOString(),
    // Nobody has to go for what was cancelled altogether.
    lines: list.lines.filter(({ quantity }) => quantity > 0).map((line) => ({ ...line })),
  };
}
