import { accepted, created, defineRoute, type HttpRequest, ok, type Route } from "../../platform/http.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import {
  type CancelBody,
  cancelBody,
  type DeliveryBody,
  deliveryBody,
  type InspectBody,
  inspectBody,
  orderAnswer,
  type RefundBody,
  type ReturnBody,
  refundAnswer,
  refundBody,
  returnAnswer,
  returnBody,
  returnsAnswer,
} from "./contract.ts";
import type { Cutting } from "./cutting.ts";
import type { Deliveries } from "./delivery.ts";
import { type Refunds, toRefundAnswer } from "./refunds.ts";
import { type Returns, toReturnAnswer } from "./returns.ts";
import type { OrdersService } from "./service.ts";
import { toAnswer, viewerOf } from "./view.ts";

/** What the routes call. */
export interface AftercareDeps {
  readonly center: string;
  readonly service: OrdersService;
  readonly cutting: Cutting;
  readonly deliveries: Deliveries;
  readonly returns: Returns;
  readonly refunds: Refunds;
}

/** What can be done with an order after it was placed. */
export function createAftercareRoutes(deps: AftercareDeps): Route[] {
  return [...changeRoutes(deps), ...returnRoutes(deps), ...floorRoutes(deps)];
}

const orderIdOf = (request: HttpRequest) => request.params.orderId ?? "";
const keyOf = (request: HttpRequest) => request.idempotencyKey ?? "";

function changeRoutes({ center, service, cutting, deliveries }: AftercareDeps): Route[] {
  return [
    defineRoute<CancelBody>({
      method: "POST",
      path: "/v1/orders/:orderId/cancel",
      summary: "Cancels an order that has not been handed over, or lines of one that are not picked yet.",
      access: { roles: ["customer"] },
      body: cancelBody,
      responses: { 200: orderAnswer },
      async handler(request) {
        const version = expectedVersion(request);
        if (version !== undefined && typeof version !== "number") return version;
        const [orderId, viewer, key] = [orderIdOf(request), viewerOf(request), keyOf(request)];
        const { lines } = request.body;
        if (lines) {
          const { deadlineMs } = request;
          const cut = { orderId, viewer, key, lines, expectedVersion: version, deadlineMs };
          const done = await cutting.cancelLines(cut);
          if (done.ok === true) return ok(toAnswer(done.order, center));
          if (done.ok === false) return done;
        }
        const done = await service.cancel(orderId, viewer, key, version);
        return done.ok ? ok(done.order) : done;
      },
    }),
    defineRoute<DeliveryBody>({
      method: "POST",
      path: "/v1/orders/:orderId/delivery",
      summary: "Changes address and time of an order that nobody has begun to pick.",
      access: { roles: ["customer"] },
      body: deliveryBody,
      responses: { 200: orderAnswer },
      async handler(request) {
        const version = expectedVersion(request);
        if (version !== undefined && typeof version !== "number") return version;
        const done = await deliveries.change({
          orderId: orderIdOf(request),
          viewer: viewerOf(request),
          key: keyOf(request),
          body: request.body,
          expectedVersion: version,
        });
        return done.ok ? ok(toAnswer(done.order, center)) : done;
      },
    }),
  ];
}

/** `If-Match` of the version that the caller has seen; nothing when the caller does not care. */
function expectedVersion({ headers }: HttpRequest): number | undefined | Failure {
  const header = headers["if-match"];
  if (header === undefined || header === "*") return undefined;
  const version = /^"(\d{1,9})"$/.exec(header)?.[1];
  if (version !== undefined) return Number(version);
  return fail("invalid-request", 'Send If-Match as the ETag of the order was, such as "4", or leave it out.');
}

function returnRoutes({ returns, refunds }: AftercareDeps): Route[] {
  return [
    defineRoute<ReturnBody>({
      method: "POST",
      path: "/v1/orders/:orderId/returns",
      summary: "Asks to bring delivered goods back.",
      access: { roles: ["customer"] },
      body: returnBody,
      responses: { 201: returnAnswer },
      async handler(request) {
        const done = await returns.request(
          orderIdOf(request),
          viewerOf(request),
          keyOf(request),
          request.body,
        );
        return done.ok ? created(toReturnAnswer(done.value)) : done;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/orders/:orderId/returns",
      summary: "The returns of an order, oldest first.",
      access: { roles: ["customer"] },
      responses: { 200: returnsAnswer },
      async handler(request) {
        const found = await returns.listOf(orderIdOf(request), viewerOf(request));
        return found.ok ? ok({ returns: found.values.map(toReturnAnswer) }) : found;
      },
    }),
    defineRoute<RefundBody>({
      method: "POST",
      path: "/v1/orders/:orderId/refunds",
      summary: "Gives money back without goods.",
      access: { roles: ["staff"] },
      body: refundBody,
      responses: { 202: refundAnswer },
      async handler(request) {
        const { sub } = viewerOf(request);
        const done = await refunds.ask(orderIdOf(request), sub, keyOf(request), request.body);
        return done.ok ? accepted(toRefundAnswer(done.value)) : done;
      },
    }),
  ];
}

/** For who stands where the goods come back. */
function floorRoutes({ returns }: AftercareDeps): Route[] {
  return [
    defineRoute({
      method: "POST",
      path: "/v1/returns/:returnId/receive",
      summary: "The goods of a return have come.",
      access: { roles: ["picker"] },
      responses: { 200: returnAnswer },
      async handler({ params }) {
        const done = await returns.receive(params.returnId ?? "");
        return done.ok ? ok(toReturnAnswer(done.value)) : done;
      },
    }),
    defineRoute<InspectBody>({
      method: "POST",
      path: "/v1/returns/:returnId/inspect",
      summary:
        "Says what came and in which condition: it goes back on the shelf or to quarantine, the money to the customer.",
      access: { roles: ["picker"] },
      body: inspectBody,
      responses: { 200: returnAnswer },
      async handler(request) {
        const { sub } = viewerOf(request);
        const done = await returns.inspect(request.params.returnId ?? "", request.body, sub);
        return done.ok ? ok(toReturnAnswer(done.value)) : done;
      },
    }),
  ];
}
