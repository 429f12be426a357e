import { created, defineRoute, type HttpRequest, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import { coordinatesSchema } from "../../platform/schemas.ts";
import {
  courierAnswer,
  couriersAnswer,
  couriersQuery,
  courierUserAnswer,
  createBody,
  emptyBody,
} from "./contract.ts";
import type { CouriersService } from "./service.ts";

const COURIERS = { roles: ["courier" as const] };

/** What couriers' devices and staff call. */
export function createRoutes(service: CouriersService): Route[] {
  const path = (rest: string) => `/v1/couriers/:courierId${rest}`;
  const actor = (request: HttpRequest) => ({
    sub: request.principal.user?.sub ?? "",
    isStaff: request.principal.user?.roles.includes("staff") ?? false,
  });
  return [
    defineRoute({
      method: "POST",
      path: "/v1/couriers",
      summary: "Adds a courier to this center.",
      access: { roles: ["staff"] },
      body: createBody,
      responses: { 201: courierAnswer },
      handler: async ({ body }) => created(await service.create(body)),
    }),
    defineRoute({
      method: "GET",
      path: path(""),
      summary: "One courier, without name or number.",
      access: COURIERS,
      responses: { 200: courierAnswer },
      async handler({ params }) {
        const courier = await service.get(params.courierId ?? "");
        return courier ? ok(courier) : fail("not-found", "There is no such courier.");
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/shift/start"),
      summary: "Begins a shift at a place.",
      access: COURIERS,
      body: coordinatesSchema,
      responses: { 200: courierAnswer },
      async handler(request) {
        const done = await service.apply(
          request.params.courierId ?? "",
          "start",
          actor(request),
          request.body,
        );
        return done.ok ? ok(done.courier) : done;
      },
    }),
    ...(["end", "heartbeat"] as const).map((event) =>
      defineRoute({
        method: "POST",
        path: path(event === "end" ? "/shift/end" : "/heartbeat"),
        summary: event === "end" ? "Ends the shift." : "Says that the device is there.",
        access: COURIERS,
        body: emptyBody,
        // A heartbeat is the same however often it is said.
        idempotency: event === "end" ? "required" : "none",
        responses: { 200: courierAnswer },
        async handler(request) {
          const done = await service.apply(request.params.courierId ?? "", event, actor(request));
          return done.ok ? ok(done.courier) : done;
        },
      }),
    ),
    defineRoute({
      method: "GET",
      path: "/internal/couriers",
      summary: "The couriers of this center, or those at work.",
      access: "internal",
      query: couriersQuery,
      responses: { 200: couriersAnswer },
      handler: async ({ query }) => ok({ couriers: await service.list(query.onShift === "true") }),
    }),
    defineRoute({
      method: "GET",
      path: "/internal/couriers/:courierId",
      summary: "Who may act for a courier.",
      access: "internal",
      responses: { 200: courierUserAnswer },
      async handler({ params }) {
        const found = await service.userOf(params.courierId ?? "");
        return found ? ok(found) : fail("not-found", "There is no such courier.");
      },
    }),
  ];
}
