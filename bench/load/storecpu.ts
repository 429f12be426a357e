import { existsSync } from "node:fs";
import { silentLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createRedis } from "../../platform/redis.ts";
import { createSql, parseDatabaseUrl } from "../../platform/sql.ts";
import { usageOf } from "../operator/usage.ts";

/** What PostgreSQL and Redis have computed so far, all connections together. */
export interface StoreCpu {
  seconds(): Promise<number>;
  close(): Promise<void>;
}

/** Both servers must run on this machine: their counts come from the kernel and from Redis itself. */
export function openStoreCpu(stores: { readonly databaseUrl: string; readonly redisUrl: string }): StoreCpu {
  const log = silentLogger();
  const redis = createRedis({ url: stores.redisUrl, log });
  const sql = createSql({
    ...parseDatabaseUrl(stores.databaseUrl),
    ...{ applicationName: "bench", max: 1, log, metrics: createMetrics({ service: "bench" }) },
  });
  /** The highest count of each server process; one that has ended keeps its last. */
  const seen = new Map<number, number>();
  return {
    async seconds() {
      while (!redis.isReady()) await new Promise((resolve) => setTimeout(resolve, 10));
      const info = await redis.call<string>("INFO", "cpu");
      const of = (name: string) => Number(new RegExp(`${name}:(\\S+)`).exec(info)?.[1] ?? 0);
      for (const { pid } of await sql.query<{ pid: number }>("SELECT pid FROM pg_stat_activity"))
        if (existsSync(`/proc/${pid}/stat`)) seen.set(pid, usageOf(pid).cpuSeconds);
      const postgres = [...seen.values()].reduce((sum, one) => sum + one, 0);
      return of("used_cpu_user") + of("used_cpu_sys") + postgres;
    },
    async close() {
      await redis.close();
      await sql.close();
    },
  };
}
