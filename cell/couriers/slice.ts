import type { SliceDefinition } from "../../platform/slice.ts";
import { createRoutes } from "./routes.ts";
import { createCouriersService } from "./service.ts";

const SWEEP_INTERVAL_MS = 5_000;

/** Couriers, their shifts and their presence. */
export const couriersSlice: SliceDefinition = {
  name: "couriers",
  build({ sql, newId, env }) {
    const service = createCouriersService({ sql, newId });
    return {
      routes: createRoutes(service),
      subscriptions: [],
      workers: [
        {
          name: "silence",
          intervalMs: SWEEP_INTERVAL_MS,
          async run(signal) {
            while ((await service.sweepSilent(env.COURIER_OFFLINE_SECONDS)) > 0 && !signal.aborted);
          },
        },
      ],
    };
  },
};
