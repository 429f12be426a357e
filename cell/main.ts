import { loadConfig } from "../platform/config.ts";
import { replayDeadLetters } from "../platform/consumer.ts";
import { createKafka } from "../platform/kafka.ts";
import { createLogger, errorText } from "../platform/log.ts";
import { cellEnvSchema } from "../platform/slice.ts";
import { isSliceName } from "../platform/slices.ts";
import { openBooks } from "./books.ts";
import { isReconcile, reconcileCommand } from "./inventory/verb.ts";
import { isolationCommand } from "./isolation.ts";
import { fenceCommand, provisionCommand, retireCommand } from "./provision.ts";
import { parseRoles, SLICES } from "./roles.ts";
import { serve } from "./serve.ts";

const USAGE =
  "usage: node cell/main.ts <slice>[,<slice>…] | provision [--remove] | fence --epoch N | retire | replay <slice> | inventory reconcile [--repair] | probe-isolation <kind>:<host>:<port>…";
const REPLAY_TIMEOUT_MS = 300_000;

function serveRoles(roles: string): Promise<void> {
  const names = parseRoles(roles);
  if (!names) throw new Error(`${roles} names no slice. ${USAGE}`);
  return serve(names, SLICES);
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
  if (isReconcile(args))
    process.exitCode = await reconcileCommand(
      rest.slice(1),
      () => openBooks(process.env),
      (text) => process.stdout.write(text),
    );
  else if (role === "provision")
    process.exitCode = await provisionCommand(process.env, rest.includes("--remove"));
  else if (role === "fence")
    process.exitCode = await fenceCommand(process.env, Number(rest[rest.indexOf("--epoch") + 1]));
  else if (role === "retire") process.exitCode = await retireCommand(process.env);
  else if (role === "probe-isolation")
    process.exitCode = await isolationCommand(rest, process.env.TERMINATION_LOG ?? "/dev/termination-log");
  else if (role === "replay") await replay(rest[0]);
  else if (role !== undefined) await serveRoles(role);
  else throw new Error(USAGE);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(1);
});
