import type { SliceDefinition } from "../../platform/slice.ts";
import { createSubscriptions } from "./events.ts";
import { createRoutes } from "./routes.ts";
import { createFulfillmentService } from "./service.ts";

/** Pick lists, scans, packing. */
export const fulfillmentSlice: SliceDefinition = {
  name: "fulfillment",
  build: ({ sql, clients, newId }) => ({
    routes: createRoutes({ service: createFulfillmentService({ sql, inventory: clients.inventory }), sql }),
    subscriptions: createSubscriptions({ newId }),
    workers: [],
  }),
};
