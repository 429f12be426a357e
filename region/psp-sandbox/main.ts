import { z } from "zod";
import { ConfigError, intSetting, loadConfig } from "../../platform/config.ts";
import { createServiceClient } from "../../platform/fetch.ts";
import { createLogger, errorText } from "../../platform/log.ts";
import { createMetrics, type Metrics } from "../../platform/metrics.ts";
import { onShutdown } from "../../platform/shutdown.ts";
import { startTracing } from "../../platform/tracing.ts";
import type { Telling } from "./notifications.ts";
import { startPsp } from "./server.ts";

const envSchema = z.object({
  REGION_DATABASE_URL: z.string().min(1),
  PORT: intSetting(0, 65_535).default(8090),
  BIND_HOST: z.string().default("0.0.0.0"),
  WEBHOOK_URL: z
    .url()
    .refine(
      (url) => url.includes("{merchant}"),
      "holds {merchant}, such as http://gateway:8080/v1/webhooks/payments/{merchant}",
    )
    .optional(),
  /** The first of them signs. */
  WEBHOOK_SECRETS: z.string().min(16).optional(),
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
  const metrics = createMetrics({ service: SERVICE, defaults: true });
  const hooks = telling(env, metrics);
  const psp = await startPsp({
    telling: hooks?.telling,
    databaseUrl: env.REGION_DATABASE_URL,
    port: env.PORT,
    host: env.BIND_HOST,
    log,
    metrics,
  });
  onShutdown({
    log,
    graceMs: STOP_GRACE_MS,
    steps: [
      { name: "readiness", run: () => psp.stopping() },
      { name: "server", run: () => psp.stop() },
      { name: "webhooks", run: () => hooks?.close() },
      { name: "tracing", run: () => tracing.stop() },
    ],
  });
}

/** Where merchants are told, and by whose word; undefined when that is not set up. */
function telling(
  env: z.output<typeof envSchema>,
  metrics: Metrics,
): { telling: Telling; close(): Promise<void> } | undefined {
  const { WEBHOOK_URL: template, WEBHOOK_SECRETS: secrets } = env;
  if (template === undefined && secrets === undefined) return undefined;
  if (template === undefined || secrets === undefined)
    throw new ConfigError("set WEBHOOK_URL and WEBHOOK_SECRETS together, or neither");
  const client = createServiceClient({ name: "merchant", baseUrl: template, metrics, timeoutMs: 5_000 });
  return {
    telling: {
      secret: secrets.split(",")[0] ?? "",
      async deliver(merchant, body, headers) {
        const { pathname } = new URL(template.replaceAll("{merchant}", merchant));
        const answer = await client.call({ method: "POST", path: pathname, body, headers });
        return answer.ok ? undefined : `${answer.code}: ${answer.detail}`;
      },
    },
    close: () => client.close(),
  };
}

main().catch((error: unknown) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(1);
});
