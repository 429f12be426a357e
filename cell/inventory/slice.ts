import { errorText } from "../../platform/log.ts";
import type { BuiltSlice, SliceContext, SliceDefinition } from "../../platform/slice.ts";
import { createHolding } from "./holding.ts";
import { createHoldStore, readHoldScript } from "./holds.ts";
import { createMirror } from "./mirror.ts";
import { createRebuilder } from "./rebuild.ts";
import { createRoutes } from "./routes.ts";
import { createCountRoutes } from "./routes-counts.ts";
import { createFloorRoutes } from "./routes-floor.ts";
import { createStockService } from "./service.ts";
import { createTrail } from "./trail.ts";
import { createWorkers } from "./workers.ts";
import { createWriter } from "./writer.ts";

/** Bins, balances, the ledger of movements, holds and allocations of one center. */
export const inventorySlice: SliceDefinition = { name: "inventory", build };

function build(context: SliceContext): BuiltSlice {
  const { sql, redis, log, metrics, center, epoch, clock, env } = context;
  const holds = createHoldStore({
    redis,
    center,
    epoch,
    script: readHoldScript(),
    ratePerSku: env.HOLD_RATE_PER_SKU,
  });
  const rebuilder = createRebuilder({ sql, holds, log, metrics });
  const mirror = createMirror({ sql, holds, log, metrics, storeAway: rebuilder.doubt });
  const trail = createTrail({ sql, holds, metrics });
  const writer = createWriter({ sql, log, metrics, committed: trail.before(mirror.committed) });
  let checking = false;
  const holding = createHolding({
    sql,
    holds,
    writer,
    trail,
    log,
    metrics,
    epoch,
    ttlSeconds: env.HOLD_TTL_SECONDS,
    trusted: rebuilder.trusted,
    storeAway: rebuilder.doubt,
    storeLost: () => {
      if (checking) return;
      checking = true;
      void rebuilder
        .check()
        .catch((error: unknown) =>
          log.debug({ error: errorText(error) }, "the early look at the hold store failed"),
        )
        .finally(() => {
          checking = false;
        });
    },
  });
  const stock = createStockService({ sql, holds, writer, nowMs: clock.nowMs });
  return {
    routes: [
      ...createRoutes({ stock, holding }),
      ...createFloorRoutes({ stock, sql }),
      ...createCountRoutes({ stock, sql }),
    ],
    subscriptions: [],
    workers: createWorkers({
      ...{ sql, holds, mirror, rebuilder, writer, trail, log, metrics, random: context.random },
    }),
    async stop() {
      await writer.stop();
      await trail.flush(true).catch(() => undefined);
    },
  };
}
