import { errorText } from "../../platform/log.ts";
import type { BuiltSlice, SliceContext, SliceDefinition } from "../../platform/slice.ts";
import { createHolding } from "./holding.ts";
import { createStockParts } from "./parts.ts";
import { createRoutes } from "./routes.ts";
import { createCountRoutes } from "./routes-counts.ts";
import { createFloorRoutes } from "./routes-floor.ts";
import { createStockService } from "./service.ts";
import { createWorkers } from "./workers.ts";

/** Bins, balances, the ledger of movements, holds and allocations of one center. */
export const inventorySlice: SliceDefinition = { name: "inventory", build };

function build(context: SliceContext): BuiltSlice {
  const { sql, redis, log, metrics, center, epoch, clock, env } = context;
  const ratePerSku = env.HOLD_RATE_PER_SKU;
  const parts = createStockParts({ sql, redis, log, metrics, center, epoch, ratePerSku });
  const { holds, rebuilder, trail, writer } = parts;
  const holding = createHolding({
    ...{ sql, holds, writer, trail, log, metrics, epoch },
    ttlSeconds: env.HOLD_TTL_SECONDS,
    trusted: rebuilder.trusted,
    storeAway: rebuilder.doubt,
    storeLost: () =>
      void rebuilder
        .check()
        .catch((error: unknown) =>
          log.debug({ error: errorText(error) }, "the early look at the hold store failed"),
        ),
  });
  const stock = createStockService({ sql, holds, writer, nowMs: clock.nowMs });
  return {
    routes: [
      ...createRoutes({ stock, holding }),
      ...createFloorRoutes({ stock, sql }),
      ...createCountRoutes({ stock, sql }),
    ],
    subscriptions: [],
    workers: createWorkers({ ...parts, sql, log, metrics, random: context.random }),
    async stop() {
      await writer.stop();
      await trail.flush(true).catch(() => undefined);
    },
  };
}
