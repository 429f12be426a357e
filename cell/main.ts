import { loadConfig } from "../platform/config.ts";
import { replayDeadLetters } from "../platform/consumer.ts";
import { createRoster } from "../platform/health.ts";
import { createKafka } from "../platform/kafka.ts";
import { createLogger, errorText } from "../platform/log.ts";
import { createRedis } from "../platform/redis.ts";
import { onShutdown } from "../platform/shutdown.ts";
import { cellEnvSchema } from "../platform/slice.ts";
import { isSliceName } from "../platform/slices.ts";
import { startTracing } from "../platform/tracing.ts";
import { type RunningSlice, startSlice } from "./host.ts";
import { isolationCommand } from "./isolation.ts";
import { fenceCommand, provisionCommand, retireCommand } from "./provision.ts";
import { CONSUMERS, parseRoles, SLICES } from "./roles.ts";

const USAGE =
  "usage: node cell/main.ts <slice>[,<slice>…] | provision [--remove] | fence --epoch N | retire | replay <slice> | probe-isolation <kind>:<host>:<port>…";
const REPLAY_TIMEOUT_MS = 300_000;
/** Less than what the pod is given. */
const STOP_GRACE_MS = 18_000;
/** Between "not ready" and closing the door: every node has to hear of it and send new connections elsewhere. */
const DRAIN_MS = Number(process.env.DRAIN_MS ?? 4_000);

async function serve(roles: string): Promise<void> {
  const names = parseRoles(roles);
  if (!names) throw new Error(`${roles} names no slice. ${USAGE}`);
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
  const shared = { env, raw: process.env, redis, kafka, roster: createRoster(names) };
  const running: RunningSlice[] = [];
  for (const name of names) running.push(await startSlice(SLICES[name], shared, CONSUMERS));
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

/** `replay <slice>`: its dead letters go back to where they came from; for when their cause is gone. */
async function replay(name: string | undefined): Promise<void> {
  if (name === undefined || !isSliceName(name)) throw new Error(`say whose dead letters. ${USAGE}`);
  const env = loadConfig(
    cellEnvSchema.pick({ CELL: true, KAFKA_BROKERS: true, LOG_LEVEL: true }),
    process.env,
  );
  const log = createLogger({ service: name, cell: env.CELL, level: env.LOG_LEVEL });
  const brokers = env.KAFKA_BROKERS.split(",");
  const kafka = createKafka({ brokers, clientId: `${env.CELL}-replay`, log });
  try {
    const options = { center: env.CELL, slice: name, kafka, timeoutMs: REPLAY_TIMEOUT_MS };
    log.info({ events: await replayDeadLetters(options) }, "dead letters went back");
  } finally {
    await kafka.close();
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [role, ...rest] = args;
  if (role === "provision") process.exitCode = await provisionCommand(process.env, rest.includes("--remove"));
  else if (role === "fence")
    process.exitCode = await fenceCommand(process.env, Number(rest[rest.indexOf("--epoch") + 1]));
  else if (role === "retire") process.exitCode = await retireCommand(process.env);
  else if (role === "probe-isolation")
    process.exitCode = await isolationCommand(rest, process.env.TERMINATION_LOG ?? "/dev/termination-log");
  else if (role === "replay") await replay(rest[0]);
  else if (role !== undefined) await serve(role);
  else throw new Error(USAGE);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(1);
});
