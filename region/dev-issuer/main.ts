import { z } from "zod";
import { ConfigError, intSetting, loadConfig } from "../../platform/config.ts";
import { publicHalf } from "../../platform/credentials.ts";
import { createHealth } from "../../platform/health.ts";
import { startHttp } from "../../platform/http-server.ts";
import { createLogger, errorText } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { onShutdown } from "../../platform/shutdown.ts";
import { generateKey, type PrivateKey, readKeyFile } from "../../platform/trust.ts";
import { createUserTokenIssuer } from "../../platform/usertoken.ts";
import { createRoutes } from "./routes.ts";

const envSchema = z.object({
  PORT: intSetting(0, 65_535).default(8091),
  BIND_HOST: z.string().default("0.0.0.0"),
  ISSUER_KEY_FILE: z.string().optional(),
  ISSUER: z.string().min(1).default("dev-issuer"),
  AUDIENCE: z.string().min(1).default("fulfillment-cells"),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

async function main(): Promise<void> {
  const env = loadConfig(envSchema, process.env);
  const log = createLogger({ service: "dev-issuer", level: env.LOG_LEVEL });
  const metrics = createMetrics({ service: "dev-issuer", defaults: true });
  const jwk = env.ISSUER_KEY_FILE
    ? await readKeyFile<PrivateKey>(env.ISSUER_KEY_FILE)
    : (await generateKey()).privateJwk;
  const issuer = await createUserTokenIssuer(jwk, { issuer: env.ISSUER, audience: env.AUDIENCE });
  const health = createHealth([]);
  const server = await startHttp({
    routes: createRoutes(issuer, publicHalf(jwk)),
    port: env.PORT,
    host: env.BIND_HOST,
    log,
    metrics,
    health,
    openapi: { title: "dev-issuer" },
  });
  log.warn({ port: server.port }, "this issuer gives tokens to whoever asks: for trying things out only");
  onShutdown({
    log,
    graceMs: 10_000,
    steps: [
      { name: "readiness", run: () => health.stopping() },
      { name: "http", run: () => server.close() },
    ],
  });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof ConfigError ? error.message : errorText(error)}\n`);
  process.exit(1);
});
