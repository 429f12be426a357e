import type { SliceDefinition } from "../../platform/slice.ts";
import { sweepStrikes } from "./courierstore.ts";
import { createSubscriptions } from "./events.ts";
import { createOffers } from "./offers.ts";
import { createRoutes } from "./routes.ts";
import { createDispatchService } from "./service.ts";
import { countWaiting } from "./store.ts";

const OFFER_INTERVAL_MS = 250;
const EXPIRE_INTERVAL_MS = 500;
const COUNT_INTERVAL_MS = 5_000;
const SWEEP_INTERVAL_MS = 600_000;
const SWEEP_ROWS = 1_000;

/** Offers, assignments, proof of delivery. */
export const dispatchSlice: SliceDefinition = {
  name: "dispatch",
  build({ sql, clients, log, env, newId, metrics }) {
    const service = createDispatchService({ sql, couriers: clients.couriers, orders: clients.orders });
    const offers = createOffers({
      sql,
      tracking: clients.tracking,
      log,
      center: { latitude: env.CENTER_LATITUDE, longitude: env.CENTER_LONGITUDE },
      ackSeconds: env.OFFER_ACK_SECONDS,
      newAssignmentId: () => newId("asg"),
    });
    const parcels = metrics.gauge("dispatch_parcels_waiting", "Parcels without a courier who has said yes.", [
      "escalated",
    ]);
    const drain = (round: () => Promise<number>) => async (signal: AbortSignal) => {
      while ((await round()) > 0 && !signal.aborted);
    };
    return {
      routes: createRoutes(service),
      subscriptions: createSubscriptions(service),
      workers: [
        { name: "offers", intervalMs: OFFER_INTERVAL_MS, run: drain(offers.offerRound) },
        { name: "expiries", intervalMs: EXPIRE_INTERVAL_MS, run: drain(offers.expireRound) },
        {
          name: "count-waiting",
          intervalMs: COUNT_INTERVAL_MS,
          async run() {
            const { waiting, escalated } = await countWaiting(sql);
            parcels.set({ escalated: "false" }, waiting - escalated);
            parcels.set({ escalated: "true" }, escalated);
          },
        },
        {
          name: "sweep-strikes",
          intervalMs: SWEEP_INTERVAL_MS,
          run: async () => void (await sweepStrikes(sql, SWEEP_ROWS)),
        },
      ],
    };
  },
};
