import type { SliceDefinition } from "../../platform/slice.ts";
import { createSubscriptions } from "./events.ts";
import { createRoutes } from "./routes.ts";
import { createScans } from "./scans.ts";
import { createFulfillmentService } from "./service.ts";
import { sweepCalledOff } from "./store.ts";

const SETTLE_INTERVAL_MS = 5_000;
const SWEEP_INTERVAL_MS = 600_000;
const SWEEP_ROWS = 1_000;

/** Pick lists, scans, packing. */
export const fulfillmentSlice: SliceDefinition = {
  name: "fulfillment",
  build({ sql, clients, newId }) {
    const { inventory } = clients;
    const scans = createScans({ sql, inventory });
    const service = createFulfillmentService({ sql, inventory, scans });
    return {
      routes: createRoutes({ service, sql }),
      subscriptions: createSubscriptions({ newId }),
      workers: [
        {
          name: "settle-scans",
          intervalMs: SETTLE_INTERVAL_MS,
          run: async () => void (await scans.settleInterrupted()),
        },
        {
          name: "sweep-called-off",
          intervalMs: SWEEP_INTERVAL_MS,
          run: async () => void (await sweepCalledOff(sql, SWEEP_ROWS)),
        },
      ],
    };
  },
};
