import type { Clock } from "../../platform/clock.ts";
import { accepted, defineRoute, type HttpRequest, ok, type Route } from "../../platform/http.ts";
import {
  positionsAccepted,
  positionsAnswer,
  positionsBody,
  positionsQuery,
  trackingAnswer,
} from "./contract.ts";
import type { Positions } from "./positions.ts";
import type { TrackingService, Viewer } from "./service.ts";
import type { Streams } from "./stream.ts";

const MAX_IDS = 200;

/** Positions in, sight out. */
export function createRoutes(deps: {
  service: TrackingService;
  positions: Positions;
  streams: Streams;
  clock: Clock;
}): Route[] {
  const { service, positions, streams, clock } = deps;
  return [
    defineRoute({
      method: "POST",
      path: "/v1/positions",
      summary: "One fix, or up to 50, of couriers' devices.",
      access: { roles: ["courier"] },
      // A fix carries its own count; a lost one is followed by the next.
      idempotency: "none",
      body: positionsBody,
      responses: { 202: positionsAccepted },
      async handler({ body }) {
        const fixes = "positions" in body ? body.positions : [body];
        const taken = await Promise.all(fixes.map((fix) => positions.accept(fix)));
        const count = taken.filter(Boolean).length;
        return accepted({ accepted: count, ignored: fixes.length - count });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/tracking/:orderId",
      summary: "Where one's parcel is.",
      access: { roles: ["customer"] },
      responses: { 200: trackingAnswer },
      async handler(request) {
        const seen = await service.look(request.params.orderId ?? "", viewerOf(request));
        return seen.ok ? ok(seen.answer) : seen;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/tracking/:orderId/stream",
      summary: "The same as server-sent events.",
      access: { roles: ["customer"] },
      stream: true,
      responses: { 200: undefined },
      async handler(request) {
        const refused = await streams.run(request.params.orderId ?? "", viewerOf(request), request.raw.res);
        return refused ?? { status: 200 };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/positions",
      summary: "Last positions of couriers; those without one are left out.",
      access: "internal",
      query: positionsQuery,
      responses: { 200: positionsAnswer },
      async handler({ query }) {
        const ids = (query.courierIds ?? "").split(",").filter(Boolean).slice(0, MAX_IDS);
        const found = await positions.last(ids);
        return ok({
          positions: [...found].map(([courierId, { latitude, longitude, atMs }]) => ({
            courierId,
            latitude,
            longitude,
            ageSeconds: Math.max(0, Math.round((clock.nowMs() - atMs) / 1000)),
          })),
        });
      },
    }),
  ];
}

function viewerOf(request: HttpRequest): Viewer {
  const { user } = request.principal;
  return { sub: user?.sub ?? "", isStaff: user?.roles.includes("staff") ?? false };
}
