import { z } from "zod";
import { intSetting, loadConfig } from "../../platform/config.ts";
import { createLogger, errorText } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { onShutdown } from "../../platform/shutdown.ts";
import { startTracing } from "../../platform/tracing.ts";
import { startPsp } from "./server.ts";

const envSchema = z.object({
  REGION_DATABASE_URL: z.string().min(1),
  PORT: intSetting(0, 65_535).default(8090),
  BIND_HOST: z.string().default("0.0.0.0"),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_TRACES_FILE: z.string().optional(),
});

const SERVICE = "psp-sandbox";
const STOP_GRACE_MS = 15_000;

async function main(): Promise<void> {
  const env = loadConfig(envSchema, process.env);
  const tracing = await startTracing({
    service: SERVICE,
    otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    file: env.OTEL_TRACES_FILE,
  });
  const log = createLogger({ service: SERVICE, level: env.LOG_LEVEL });
  const psp = await startPsp({
    databaseUrl: env.REGION_DATABASE_URL,
    port: env.PORT,
    host: env.BIND_HOST,
    log,
    metrics: createMetrics({ service: SERVICE, defaults: true }),
  });
  onShutdown({
    log,
    graceMs: STOP_GRACE_MS,
    steps: [
      { name: "readiness", run: () => psp.stopping() },
      { name: "server", run: () => psp.stop() },
      { name: "tracing", run: () => tracing.stop() },
    ],
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(1);
});
