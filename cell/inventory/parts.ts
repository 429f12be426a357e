import type { Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Redis } from "../../platform/redis.ts";
import type { Sql } from "../../platform/sql.ts";
import { createHoldStore, type HoldStore, readHoldScript } from "./holds.ts";
import { createMirror, type Mirror } from "./mirror.ts";
import { createRebuilder, type Rebuilder } from "./rebuild.ts";
import { createTrail, type Trail } from "./trail.ts";
import { createWriter, type Writer } from "./writer.ts";

/** What keeps a center's stock and holds, each part knowing those that it needs. */
export interface StockParts {
  readonly holds: HoldStore;
  readonly rebuilder: Rebuilder;
  readonly mirror: Mirror;
  readonly trail: Trail;
  readonly writer: Writer;
}

export interface StockPartsOptions {
  readonly sql: Sql;
  readonly redis: Redis;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly center: string;
  readonly epoch: number;
  /** As for `createHoldStore`. */
  readonly ratePerSku: number;
}

/** Puts the parts together. Connects to nothing by itself. */
export function createStockParts(options: StockPartsOptions): StockParts {
  const { sql, redis, log, metrics, center, epoch, ratePerSku } = options;
  const holds = createHoldStore({ redis, center, epoch, script: readHoldScript(), ratePerSku });
  const rebuilder = createRebuilder({ sql, holds, log, metrics });
  const mirror = createMirror({ sql, holds, log, metrics, storeAway: rebuilder.doubt });
  const trail = createTrail({ sql, holds, metrics });
  const writer = createWriter({ sql, log, metrics, committed: trail.before(mirror.committed) });
  return { holds, rebuilder, mirror, trail, writer };
}
