import { loadConfig } from "../platform/config.ts";
import { createKafka } from "../platform/kafka.ts";
import { createLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createRedis } from "../platform/redis.ts";
import { cellEnvSchema } from "../platform/slice.ts";
import { createContext } from "./host.ts";
import { createHoldStore, readHoldScript } from "./inventory/holds.ts";
import type { ReconcileDeps } from "./inventory/reconciler.ts";

const REDIS_TRIES = 50;
const REDIS_TRY_MS = 100;

/** Opens a cell's stock for `inventory reconcile`, with the slice's own rights, beside the slice that may be running. */
export async function openBooks(
  raw: Readonly<Record<string, string | undefined>>,
): Promise<ReconcileDeps & { close(): Promise<void> }> {
  const env = loadConfig(cellEnvSchema, raw);
  const log = createLogger({ service: "inventory", cell: env.CELL, level: "silent" });
  const redis = createRedis({ url: env.REDIS_URL, log });
  const kafka = createKafka({
    brokers: env.KAFKA_BROKERS.split(","),
    clientId: `${env.CELL}-reconcile`,
    log,
  });
  const metrics = createMetrics({ service: "inventory", cell: env.CELL });
  const shared = { env, raw, redis, kafka };
  const { sql, center, epoch, clients } = await createContext("inventory", shared, log, metrics);
  const script = readHoldScript();
  const holds = createHoldStore({ redis, center, epoch, script, ratePerSku: env.HOLD_RATE_PER_SKU });
  // It connects in the background; one that stays away is said to be away.
  for (let tries = 0; tries < REDIS_TRIES && !redis.isReady(); tries++)
    await new Promise((resolve) => setTimeout(resolve, REDIS_TRY_MS));
  return {
    sql,
    holds,
    async close() {
      await Promise.all([...Object.values(clients).map((client) => client.close()), sql.close()]);
      await redis.close();
      await kafka.close();
    },
  };
}
