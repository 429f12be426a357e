import { createRoutes as couriersRoutes } from "../../cell/couriers/routes.ts";
import { createRoutes as dispatchRoutes } from "../../cell/dispatch/routes.ts";
import { createRoutes as fulfillmentRoutes } from "../../cell/fulfillment/routes.ts";
import { createRoutes as inventoryRoutes } from "../../cell/inventory/routes.ts";
import { createCountRoutes } from "../../cell/inventory/routes-counts.ts";
import { createFloorRoutes } from "../../cell/inventory/routes-floor.ts";
import { createRoutes as ordersRoutes } from "../../cell/orders/routes.ts";
import { createRoutes as paymentsRoutes } from "../../cell/payments/routes.ts";
import { createRoutes as trackingRoutes } from "../../cell/tracking/routes.ts";
import type { Route } from "../../platform/http.ts";
import { openApiOf } from "../../platform/openapi.ts";
import type { SliceName } from "../../platform/slices.ts";
import { OWN_ROUTES } from "../../region/gateway/contract.ts";
import { slicePathOf } from "../../region/gateway/domain.ts";

/** Only the descriptions are read here; no handler is ever called, so there is nothing behind them. */
const NOTHING = {} as never;

/** Every route of every slice, as the slices themselves declare them. */
export const SLICE_ROUTES: Readonly<Record<SliceName, readonly Route[]>> = {
  inventory: [...inventoryRoutes(NOTHING), ...createFloorRoutes(NOTHING), ...createCountRoutes(NOTHING)],
  orders: ordersRoutes(NOTHING),
  payments: paymentsRoutes(NOTHING),
  fulfillment: fulfillmentRoutes(NOTHING),
  dispatch: dispatchRoutes(NOTHING),
  couriers: couriersRoutes(NOTHING),
  tracking: trackingRoutes(NOTHING),
};

/** The routes of a slice that people may call, each with its path at the gateway. */
export function publicRoutes(): {
  readonly slice: SliceName;
  readonly route: Route;
  readonly path: string;
}[] {
  return (Object.keys(SLICE_ROUTES) as SliceName[]).flatMap((slice) =>
    SLICE_ROUTES[slice]
      .filter(({ access }) => access !== "internal")
      .map((route) => ({ slice, route, path: slicePathOf(slice, route.method, route.path) })),
  );
}

/** The gateway's OpenAPI 3.1 document: what it does itself, and every public route of the slices. */
export function gatewayOpenApi(): unknown {
  const found = publicRoutes();
  const sliceOf = new Map<Route, SliceName>();
  const routes = found.map(({ slice, route, path }) => {
    const there = { ...route, path };
    sliceOf.set(there, slice);
    return there;
  });
  return openApiOf("gateway", "1", [...OWN_ROUTES, ...routes], {
    description:
      "The way into every cell of a region. Ids carry their center, so most paths need no more; what has no id yet is under /v1/centers/{center}.",
    tagOf: (route) => sliceOf.get(route) ?? "gateway",
  });
}
