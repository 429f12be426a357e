import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { ClusterError } from "../cluster/errors.ts";
import { withLock } from "../cluster/lock.ts";
import { type ProcessRecord, type ProcessSpec, startProcess } from "../cluster/process.ts";
import type { Report } from "../cluster/report.ts";
import { waitUntil } from "../cluster/wait.ts";
import { freePorts } from "../ports.ts";
import { kafkaAnswers, redisAnswers } from "./answers.ts";
import { prepareKafka } from "./kafka.ts";
import { ensureKafka } from "./kafkajars.ts";
import { POSTGRES_USER, postgresAnswers, preparePostgres } from "./postgres.ts";
import { readRecords, stopRecorded, writeRecords } from "./records.ts";
import { prepareRedis } from "./redis.ts";

/** TCP ports on 127.0.0.1. */
export interface StorePorts {
  readonly postgres: number;
  readonly redis: number;
  readonly kafka: number;
  readonly kafkaController: number;
}

export interface StoresOptions {
  /** Absolute path of a folder that belongs to these stores alone. Data in it from an earlier run is used again. */
  readonly dir: string;
  readonly report: Report;
  /** Default: those of the earlier run in this folder, else free ones. */
  readonly ports?: StorePorts;
  /** PostgreSQL waits for the disk at each commit; default false. */
  readonly fsync?: boolean;
}

/** Real stores on the loopback address. The addresses hold the passwords. */
export interface Stores {
  /** The superuser's. */
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly kafkaBrokers: string;
  readonly pids: readonly number[];
  /** Ends every process and waits for it; the data stays. */
  stop(): Promise<void>;
}

/** What must stay the same when the stores of a folder are started again. */
interface Identity {
  readonly ports: StorePorts;
  readonly postgresPassword: string;
  readonly redisPassword: string;
}

const LOCK_BOUND_MS = 120_000;
const READY_BOUND_MS = 90_000;

/** Starts PostgreSQL, Redis and Kafka. What a crashed run left running in the folder is stopped first. */
export async function startStores(options: StoresOptions): Promise<Stores> {
  const { dir, report } = options;
  if (!isAbsolute(dir)) throw new TypeError(`the folder of the stores must be an absolute path: ${dir}`);
  mkdirSync(dir, { recursive: true });
  // Traversable, because PostgreSQL runs under an account of its own; what is secret below has its own mode.
  chmodSync(dir, 0o755);
  return withLock(join(dir, "lock"), `the stores in ${dir}`, LOCK_BOUND_MS, async () => {
    await stopRecorded(dir);
    return report.step(
      "Start PostgreSQL, Redis and Kafka",
      "real stores on 127.0.0.1: about 6 s",
      async () => {
        try {
          return await startIn(options, await identityOf(options));
        } catch (error) {
          await stopRecorded(dir);
          if (options.ports || !isLostPort(error)) throw error;
          report.note("another program took a port in the meantime: once more with new ports");
          return startIn(options, await identityOf(options, "new ports")).catch(async (again: unknown) => {
            await stopRecorded(dir);
            throw again;
          });
        }
      },
    );
  });
}

/** The variables by which integration tests find the stores. */
export function storesEnvironment(stores: Stores): Record<string, string> {
  return {
    TEST_DATABASE_URL: stores.databaseUrl,
    TEST_REDIS_URL: stores.redisUrl,
    TEST_KAFKA_BROKERS: stores.kafkaBrokers,
  };
}

/** Stops what was started in the folder by any process; true when something was running. */
export async function stopStores(dir: string): Promise<boolean> {
  if (!existsSync(dir)) return false;
  return withLock(join(dir, "lock"), `the stores in ${dir}`, LOCK_BOUND_MS, () => stopRecorded(dir));
}

async function startIn(options: StoresOptions, identity: Identity): Promise<Stores> {
  const { dir, report, fsync = false } = options;
  const { ports, postgresPassword, redisPassword } = identity;
  const launch = async (spec: ProcessSpec, check: () => Promise<boolean>): Promise<void> => {
    const record = await startProcess(spec);
    writeRecords(dir, [...readRecords(dir), record]);
    await waitUntil({ what: `An answer of ${spec.name}`, boundMs: READY_BOUND_MS, needs: [record], check });
  };
  // Kafka takes longest, so it goes first and the others start beside it.
  const kafka = async () => {
    const program = await ensureKafka(report);
    const { kafka: port, kafkaController: controllerPort } = ports;
    const spec = await prepareKafka({ dir: join(dir, "kafka"), port, controllerPort, program });
    await launch(spec, () => kafkaAnswers(port));
  };
  const postgres = async () => {
    const at = { dir: join(dir, "postgres"), port: ports.postgres, password: postgresPassword, fsync };
    await launch(await preparePostgres(at), () => postgresAnswers(ports.postgres, postgresPassword));
  };
  const redis = async () => {
    const spec = prepareRedis({ dir: join(dir, "redis"), port: ports.redis, password: redisPassword });
    await launch(spec, () => redisAnswers(ports.redis, redisPassword));
  };
  const outcomes = await Promise.allSettled([kafka(), postgres(), redis()]);
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
  return {
    databaseUrl: `postgres://${POSTGRES_USER}:${postgresPassword}@127.0.0.1:${ports.postgres}/postgres`,
    redisUrl: `redis://default:${redisPassword}@127.0.0.1:${ports.redis}`,
    kafkaBrokers: `127.0.0.1:${ports.kafka}`,
    pids: readRecords(dir).map((record: ProcessRecord) => record.pid),
    stop: async () => {
      await stopStores(dir);
    },
  };
}

function isLostPort(error: unknown): boolean {
  return error instanceof ClusterError && /address already in use/i.test(error.message);
}

async function identityOf({ dir, ports }: StoresOptions, fresh?: "new ports"): Promise<Identity> {
  const path = join(dir, "stores.json");
  const old = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Identity) : undefined;
  const identity: Identity = {
    ports: ports ?? (fresh ? undefined : old?.ports) ?? (await choosePorts()),
    postgresPassword: old?.postgresPassword ?? randomBytes(18).toString("base64url"),
    redisPassword: old?.redisPassword ?? randomBytes(18).toString("base64url"),
  };
  writeFileSync(`${path}.next`, JSON.stringify(identity), { mode: 0o600 });
  renameSync(`${path}.next`, path);
  return identity;
}

async function choosePorts(): Promise<StorePorts> {
  const [postgres, redis, kafka, kafkaController] = (await freePorts(4)) as [number, number, number, number];
  return { postgres, redis, kafka, kafkaController };
}
