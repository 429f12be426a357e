import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ConfigError, intSetting, loadConfig } from "../../platform/config.ts";
import { createHealth } from "../../platform/health.ts";
import { createLogger, errorText } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { onShutdown } from "../../platform/shutdown.ts";
import { createSql, parseDatabaseUrl } from "../../platform/sql.ts";
import { startTracing } from "../../platform/tracing.ts";
import { createUserVerifier } from "../../platform/usertoken.ts";
import { startWorkers } from "../../platform/workers.ts";
import { watchForClosing } from "./closing.ts";
import { createFleet } from "./fleet.ts";
import { createGatewayMetrics } from "./metrics.ts";
import { createOperations } from "./operations.ts";
import { createPins, preparePins } from "./pins.ts";
import { createGatewayServer } from "./server.ts";
import { createFileSigner } from "./signer.ts";
import { startTableSource } from "./source.ts";

const envSchema = z.object({
  REGION: z.string().min(1).max(63),
  PORT: intSetting(0, 65_535).default(8080),
  BIND_HOST: z.string().default("0.0.0.0"),
  STATE_DIR: z.string().min(1),
  ROUTING_TABLE_FILE: z.string().optional(),
  REGION_DATABASE_URL: z.string().min(1),
  AUTH_JWKS_URL: z.url(),
  AUTH_AUDIENCE: z.string().min(1).default("fulfillment-cells"),
  AUTH_ISSUER: z.string().min(1).optional(),
  GATEWAY_KEY_FILE: z.string().min(1),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_TRACES_FILE: z.string().optional(),
  MAX_IN_FLIGHT_PER_CELL: intSetting(1, 10_000).default(256),
  DRAIN_MS: intSetting(0, 60_000).default(2_000),
});

const PROBE_INTERVAL_MS = 1_000;
/** The operator counts on a new key being signed with soon. */
const KEY_INTERVAL_MS = 5_000;
const SWEEP_INTERVAL_MS = 600_000;
const SWEEP_ROWS = 5_000;
const STOP_GRACE_MS = 20_000;
const CLOSE_GRACE_MS = 10_000;

async function main(): Promise<void> {
  const env = loadConfig(envSchema, process.env);
  const tracing = await startTracing({
    service: "gateway",
    otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    file: env.OTEL_TRACES_FILE,
  });
  const log = createLogger({ service: "gateway", level: env.LOG_LEVEL });
  const registry = createMetrics({ service: "gateway", defaults: true });
  const metrics = createGatewayMetrics(registry);
  const sql = createSql({
    ...parseDatabaseUrl(env.REGION_DATABASE_URL),
    applicationName: "gateway",
    max: 16,
    log,
    metrics: registry,
    statementTimeoutMs: 2_000,
  });
  const signer = await createFileSigner(env.GATEWAY_KEY_FILE);
  const fleet = createFleet({
    signer,
    metrics,
    log,
    now: Date.now,
    maxInFlightPerCell: env.MAX_IN_FLIGHT_PER_CELL,
  });
  const source = await startTableSource({
    region: env.REGION,
    file: env.ROUTING_TABLE_FILE,
    stateDir: env.STATE_DIR,
    fleet,
    metrics,
    registry,
    log,
  });
  const health = createHealth([
    {
      name: "routing-table",
      check: async () => (fleet.table() ? undefined : "no routing table has been seen yet"),
    },
  ]);
  const server = createGatewayServer({
    fleet,
    metrics,
    log,
    signer,
    users: createUserVerifier({
      jwksUrl: env.AUTH_JWKS_URL,
      audience: env.AUTH_AUDIENCE,
      issuer: env.AUTH_ISSUER,
    }),
    pins: createPins(sql),
    operations: createOperations({ health, registry, openapi: await openApi(), fleet, source }),
    now: Date.now,
  });
  const close = watchForClosing(server);
  const pins = createPins(sql);
  let isPrepared = false;
  const stopWorkers = startWorkers(
    [
      { name: "probes", intervalMs: PROBE_INTERVAL_MS, run: () => fleet.probeAll() },
      { name: "key", intervalMs: KEY_INTERVAL_MS, run: () => signer.refresh() },
      {
        name: "pins",
        intervalMs: PROBE_INTERVAL_MS,
        // The region database may come up later than the gateway, and orders are placed without pins until then.
        async run() {
          if (isPrepared) return;
          await preparePins(sql);
          isPrepared = true;
        },
      },
      {
        name: "sweep",
        intervalMs: SWEEP_INTERVAL_MS,
        run: async () => void (isPrepared && (await pins.sweep(SWEEP_ROWS))),
      },
    ],
    { log, metrics: registry },
  );
  await new Promise<void>((resolve) => server.listen(env.PORT, env.BIND_HOST, resolve));
  log.info({ port: env.PORT, region: env.REGION }, "gateway started");
  onShutdown({
    log,
    graceMs: STOP_GRACE_MS,
    steps: [
      { name: "readiness", run: () => health.stopping() },
      { name: "drain", run: () => new Promise((resolve) => setTimeout(resolve, env.DRAIN_MS)) },
      {
        name: "server",
        run: () => close(CLOSE_GRACE_MS),
      },
      { name: "workers", run: stopWorkers },
      { name: "source", run: source.stop },
      { name: "fleet", run: () => fleet.close() },
      { name: "database", run: () => sql.close() },
      { name: "tracing", run: () => tracing.stop() },
    ],
  });
}

async function openApi(): Promise<string> {
  return readFile(new URL("./openapi.json", import.meta.url), "utf8");
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof ConfigError ? error.message : errorText(error)}\n`);
  process.exit(1);
});
