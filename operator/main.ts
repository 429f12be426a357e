import { randomBytes } from "node:crypto";
import { ConfigError, loadConfig } from "../platform/config.ts";
import { createHealth } from "../platform/health.ts";
import { giveBackWhenIdle } from "../platform/idleheap.ts";
import { loadClusterConfig } from "../platform/kube/config.ts";
import { createLogger, errorText } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { onShutdown } from "../platform/shutdown.ts";
import { type OperatorSettings, settingsSchema } from "./api/settings.ts";
import { reachBrokers } from "./brokers.ts";
import { startHealthServer } from "./health-server.ts";
import { createOperator } from "./operator.ts";

/** Watches are resumed after 150 s of silence; one that is silent for this long is broken in a way that a restart may cure. */
const MAX_WATCH_AGE_MS = 15 * 60_000;
const GRACE_MS = 35_000;

async function main(): Promise<void> {
  const settings = readSettings();
  const log = createLogger({ service: "operator", level: settings.logLevel });
  const metrics = createMetrics({ service: "operator", defaults: true });
  const cluster = await loadClusterConfig();
  if (!cluster.ok) throw new ConfigError(cluster.message);
  const operator = createOperator({
    config: cluster.config,
    settings,
    log,
    metrics,
    reachBrokers,
    identity: `${settings.podName}_${randomBytes(4).toString("hex")}`,
  });
  const health = createHealth([]);
  const server = await startHealthServer(
    {
      live: () => {
        if (!health.live().ok) return "The event loop is blocked.";
        const old = operator.hasSynced() && operator.watchAgeMs() > MAX_WATCH_AGE_MS;
        return old ? "A watch has been silent for too long." : undefined;
      },
      ready: () => (operator.hasSynced() ? undefined : "The local copies are not filled yet."),
      metrics: () => metrics.render(),
      metricsType: metrics.contentType,
    },
    { port: settings.port, host: settings.bindHost },
  );
  log.info(
    { port: server.port, kafka: settings.kafka.brokers, image: settings.images.cell },
    "operator started",
  );

  giveBackWhenIdle({ onCollected: (bytes) => log.debug(bytes, "garbage was collected in an idle moment") });
  const stop = new AbortController();
  const running = operator.run(stop.signal);
  const shutDown = onShutdown({
    log,
    graceMs: GRACE_MS,
    steps: [
      { name: "leave", run: () => stop.abort() },
      { name: "drain", run: async () => void (await running) },
      { name: "health", run: () => server.close() },
    ],
  });
  const end = await running;
  if (end === "stopped") return;
  log.error({}, "leadership was lost: the process ends, so that nothing it still believes can be written");
  await shutDown();
  process.exitCode = 1;
}

function readSettings(): OperatorSettings {
  return loadConfig(settingsSchema, process.env);
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : errorText(error));
  process.exit(1);
});
