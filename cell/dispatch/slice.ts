import type { SliceDefinition } from "../../platform/slice.ts";
import { createSubscriptions } from "./events.ts";
import { createRoutes } from "./routes.ts";
import { createDispatchService } from "./service.ts";

const OFFER_INTERVAL_MS = 250;
const EXPIRE_INTERVAL_MS = 500;

/** Offers, assignments, proof of delivery. */
export const dispatchSlice: SliceDefinition = {
  name: "dispatch",
  build({ sql, clients, log, env, newId }) {
    const service = createDispatchService({
      sql,
      tracking: clients.tracking,
      log,
      center: { latitude: env.CENTER_LATITUDE, longitude: env.CENTER_LONGITUDE },
      ackSeconds: env.OFFER_ACK_SECONDS,
      newAssignmentId: () => newId("asg"),
    });
    return {
      routes: createRoutes({ service, sql }),
      subscriptions: createSubscriptions(service),
      workers: [
        {
          name: "offers",
          intervalMs: OFFER_INTERVAL_MS,
          async run(signal) {
            while ((await service.offerRound()) > 0 && !signal.aborted);
          },
        },
        {
          name: "expiries",
          intervalMs: EXPIRE_INTERVAL_MS,
          async run(signal) {
            while ((await service.expireRound()) > 0 && !signal.aborted);
          },
        },
      ],
    };
  },
};
