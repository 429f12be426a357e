import type { SliceDefinition } from "../../platform/slice.ts";
import { createSubscriptions } from "./events.ts";
import { createPositions } from "./positions.ts";
import { createRoutes } from "./routes.ts";
import { createTrackingService } from "./service.ts";
import { createStreams } from "./stream.ts";

/** Where couriers are, for those who wait for them. */
export const trackingSlice: SliceDefinition = {
  name: "tracking",
  build({ sql, redis, clock, center, clients }) {
    const positions = createPositions({ redis, clock, center });
    const service = createTrackingService({ sql, positions, orders: clients.orders, clock });
    const streams = createStreams({ service, positions });
    return {
      routes: createRoutes({ service, positions, streams, clock }),
      subscriptions: createSubscriptions(positions.tell),
      workers: [],
      start: positions.start,
      async stop() {
        streams.close();
        await positions.stop();
      },
    };
  },
};
