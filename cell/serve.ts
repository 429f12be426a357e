import { loadConfig } from "../platform/config.ts";
import { createRoster } from "../platform/health.ts";
import { createKafka } from "../platform/kafka.ts";
import { createLogger } from "../platform/log.ts";
import { createRedis } from "../platform/redis.ts";
import { onShutdown } from "../platform/shutdown.ts";
import { cellEnvSchema, type SliceDefinition } from "../platform/slice.ts";
import type { SliceName } from "../platform/slices.ts";
import { startTracing } from "../platform/tracing.ts";
import { type RunningSlice, startSlice } from "./host.ts";
import { CONSUMERS } from "./roles.ts";

/** Less than what the pod is given. */
const STOP_GRACE_MS = 18_000;
/** Between "not ready" and closing the door: every node has to hear of it and send new connections elsewhere. */
const DRAIN_MS = Number(process.env.DRAIN_MS ?? 4_000);

/** Runs these slices as one process, until it is told to end. */
export async function serve(
  names: readonly SliceName[],
  slices: Readonly<Record<SliceName, SliceDefinition>>,
): Promise<void> {
  const env = loadConfig(cellEnvSchema, process.env);
  const service = names.length === 1 ? (names[0] ?? "cell") : "cell";
  const tracing = await startTracing({
    service,
    cell: env.CELL,
    otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    file: env.OTEL_TRACES_FILE,
  });
  const log = createLogger({ service, cell: env.CELL, level: env.LOG_LEVEL });
  const redis = createRedis({ url: env.REDIS_URL, log });
  const kafka = createKafka({
    brokers: env.KAFKA_BROKERS.split(","),
    clientId: `${env.CELL}-${service}`,
    log,
  });
  const shared = { env, raw: process.env, redis, kafka, roster: createRoster(names), doors: new Map() };
  const running: RunningSlice[] = [];
  for (const name of names) running.push(await startSlice(slices[name], shared, CONSUMERS));
  onShutdown({
    log,
    graceMs: STOP_GRACE_MS,
    steps: [
      {
        name: "readiness",
        run() {
          for (const slice of running) slice.stopping();
        },
      },
      { name: "drain", run: () => new Promise((resolve) => setTimeout(resolve, DRAIN_MS)) },
      { name: "slices", run: async () => void (await Promise.all(running.map((slice) => slice.stop()))) },
      { name: "kafka", run: () => kafka.close() },
      { name: "redis", run: () => redis.close() },
      { name: "tracing", run: () => tracing.stop() },
    ],
  });
}
