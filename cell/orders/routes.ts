import { created, defineRoute, noContent, ok, type Route } from "../../platform/http.ts";
import { fail, isFailure } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import {
  closeKeyAnswer,
  closeKeyBody,
  contactSchema,
  drainAnswer,
  handoverBody,
  logAnswer,
  orderAnswer,
  ordersAnswer,
  ordersQuery,
  ownerAnswer,
  placeBody,
  pricesAnswer,
  pricesBody,
  summaryAnswer,
} from "./contract.ts";
import { savePrices } from "./prices.ts";
import { type AftercareDeps, createAftercareRoutes } from "./routes-after.ts";
import { countOpen } from "./store.ts";
import type { SummarySource } from "./summary.ts";
import { viewerOf } from "./view.ts";

const DEFAULT_PAGE = 50;
/** Bounded, so that the counts stay cheap whatever the backlog. */
const MAX_COUNTED = 10_000;

/** What the routes call. */
export interface RouteDeps extends AftercareDeps {
  readonly sql: Sql;
  readonly summary: SummarySource;
}

/** HTTP to the service. */
export function createRoutes(deps: RouteDeps): Route[] {
  const { service, sql, summary } = deps;
  return [
    ...createAftercareRoutes(deps),
    defineRoute({
      method: "POST",
      path: "/v1/prices",
      summary: "Loads prices; the latest one that is not in the future is in force.",
      access: { roles: ["staff"] },
      body: pricesBody,
      responses: { 200: pricesAnswer },
      handler: async ({ body }) => ok({ accepted: await savePrices(sql, body) }),
    }),
    defineRoute({
      method: "POST",
      path: "/v1/orders",
      cards: "refused",
      // The table of orders is the store of these keys, and a second one would cost two more commits.
      idempotency: "own",
      summary: "Places an order: holds stock, authorises the payment, allocates and confirms.",
      access: { roles: ["customer"] },
      body: placeBody,
      responses: { 201: orderAnswer },
      async handler(request) {
        const { sub } = viewerOf(request);
        const placed = await service.place(
          sub,
          request.idempotencyKey ?? "",
          request.body,
          request.deadlineMs,
        );
        if (!placed.ok) return placed;
        const answer = created(placed.order);
        return placed.isReplay ? { ...answer, headers: { "Idempotent-Replayed": "true" } } : answer;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/orders",
      summary: "Lists one's own orders, newest first; staff see all.",
      access: { roles: ["customer"] },
      query: ordersQuery,
      responses: { 200: ordersAnswer },
      async handler(request) {
        const { cursor, status, limit } = request.query;
        return ok(
          await service.list(viewerOf(request), { cursor, status, limit: Number(limit ?? DEFAULT_PAGE) }),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/orders/:orderId",
      summary: "One order.",
      access: { roles: ["customer"] },
      responses: { 200: orderAnswer },
      async handler(request) {
        const found = await service.get(request.params.orderId ?? "", viewerOf(request));
        return found.ok ? ok(found.order, { etag: `"${found.order.version}"` }) : found;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/orders/:orderId/log",
      summary: "What has happened to an order, in order; refused and late events included.",
      access: { roles: ["customer"] },
      responses: { 200: logAnswer },
      async handler(request) {
        const found = await service.log(request.params.orderId ?? "", viewerOf(request));
        return found.ok ? ok({ log: found.log }) : found;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/orders/:orderId/contact",
      summary: "Whom and where to deliver to; for its owner and for staff.",
      access: { roles: ["customer"] },
      responses: { 200: contactSchema },
      async handler(request) {
        const found = await service.contact(request.params.orderId ?? "", viewerOf(request));
        return found.ok ? ok(found.contact) : found;
      },
    }),
    defineRoute({
      method: "POST",
      path: "/internal/orders/:orderId/handover",
      summary: "Lets the parcel leave, unless its order is being cancelled.",
      access: "internal",
      idempotency: "none",
      body: handoverBody,
      responses: { 204: undefined },
      async handler({ params, body }) {
        const done = await service.handOver(params.orderId ?? "", body.assignmentId);
        return done.ok ? noContent() : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: "/internal/keys/close",
      summary:
        "Closes a key, so that its order can be placed at another center; or names the order that is here.",
      access: "internal",
      idempotency: "none",
      body: closeKeyBody,
      responses: { 200: closeKeyAnswer },
      handler: async ({ body }) => ok(await service.closeKey(body.sub, body.key)),
    }),
    defineRoute({
      method: "GET",
      path: "/internal/orders/:orderId/owner",
      summary: "Whose order it is.",
      access: "internal",
      responses: { 200: ownerAnswer },
      async handler({ params }) {
        const sub = await service.ownerOf(params.orderId ?? "");
        return sub === undefined ? fail("not-found", "There is no such order.") : ok({ sub });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/summary",
      summary: "What the gateway wants to know once a second.",
      access: "internal",
      responses: { 200: summaryAnswer },
      async handler({ headers }) {
        const current = await summary.read();
        if (isFailure(current)) return current;
        if (headers["if-none-match"] === current.etag)
          return { status: 304, headers: { etag: current.etag } };
        return ok(current.body, { etag: current.etag });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/drain",
      summary: "How much is left to do, for who waits until nothing is.",
      access: "internal",
      responses: { 200: drainAnswer },
      handler: async () => ok(await countOpen(sql, MAX_COUNTED)),
    }),
  ];
}
