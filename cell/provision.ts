import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { intSetting, loadConfig } from "../platform/config.ts";
import { deadLetterTopicOf, topicOf } from "../platform/events.ts";
import { answeringBroker, createKafka, type KafkaBus } from "../platform/kafka.ts";
import { createLogger, errorText, type Logger } from "../platform/log.ts";
import { type Migration, migrationOf, readMigrations, schemaHash } from "../platform/migrate.ts";
import { endOlderSessions, raiseEpoch, retireRoles } from "../platform/provision.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { templateStatements } from "../platform/template.ts";
import { admitToCache, CacheNotReady, retireFromCache } from "./rotation.ts";
import {
  NotYet,
  provisionShard,
  REACH_SECONDS,
  reach,
  removeShard,
  type ShardFailure,
  shardEnvSchema,
  withServer,
  withShard,
} from "./shard.ts";

const BROKER_TIMEOUT_MS = 2_000;

const envSchema = shardEnvSchema.extend({
  CELL_EPOCH: intSetting(0, Number.MAX_SAFE_INTEGER),
  REDIS_URL: z.string().min(1).optional(),
  REDIS_URL_BEFORE: z.string().min(1).optional(),
  KAFKA_BROKERS: z.string().min(1),
  KAFKA_PARTITIONS: intSetting(1, 1_000).default(3),
  KAFKA_REPLICAS: intSetting(1, 9).default(1),
  KAFKA_RETENTION_HOURS: intSetting(1, 87_600).default(168),
  TERMINATION_LOG: z.string().default("/dev/termination-log"),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});
type ProvisionEnv = z.output<typeof envSchema>;

/** What the operator reads from the pod's termination message. */
export type ProvisionReport =
  | { readonly ok: true; readonly epoch: number; readonly schema: string }
  | {
      readonly ok: false;
      readonly reason: ProvisionFailure;
      readonly message: string;
      /** The epoch in force, where that is the reason. */
      readonly epoch?: number;
    };
export type ProvisionFailure = ShardFailure | "CacheUnreachable" | "KafkaUnreachable" | "EpochOlder";

/** Every migration of every slice, the common tables first. */
export async function allMigrations(): Promise<Migration[]> {
  const all: Migration[] = [];
  for (const slice of SLICE_NAMES) {
    all.push(migrationOf(`${slice}/template-1`, templateStatements(slice)));
    all.push(...(await readMigrations(slice, join(import.meta.dirname, slice, "schema"))));
  }
  return all;
}

/** The topics of one cell: one for each slice, one for each slice's dead letters. */
export function topicsOf(center: string): string[] {
  return SLICE_NAMES.flatMap((slice) => [topicOf(center, slice), deadLetterTopicOf(center, slice)]);
}

/** Makes roles, schemas, tables, lease and topics, or with `remove` takes the topics away. Returns the exit code. */
export async function provisionCommand(
  raw: Readonly<Record<string, string | undefined>>,
  remove: boolean,
): Promise<number> {
  const env = loadConfig(envSchema, raw);
  const log = createLogger({ service: "provision", cell: env.CELL, level: env.LOG_LEVEL });
  const report = remove ? await removeAll(env, log) : await provision(env, raw, log);
  await writeFile(env.TERMINATION_LOG, JSON.stringify(report)).catch(() => undefined);
  if (report.ok) log.info({ report }, "provisioned");
  else log.error({ report }, "provisioning failed");
  return report.ok ? 0 : 1;
}

async function provision(
  env: ProvisionEnv,
  raw: Readonly<Record<string, string | undefined>>,
  log: Logger,
): Promise<ProvisionReport> {
  const migrations = await allMigrations();
  const passwords: Partial<Record<SliceName, string>> = {};
  for (const slice of SLICE_NAMES) {
    const password = raw[`DATABASE_PASSWORD_${slice.toUpperCase()}`];
    if (password) passwords[slice] = password;
  }
  const looking = findKafka(env);
  const shard = await provisionShard(env, log, {
    ...{ passwords, migrations, epoch: env.CELL_EPOCH, holder: randomUUID() },
    // A schema takes long to make, and only when this Job ends is it known what is away.
    async beforeChange() {
      const found = await looking;
      if (!found.ok) throw new NotYet(found.why);
    },
  }).catch(kafkaAway);
  if (!shard.ok) return failed(shard.reason, shard.message);
  const { epoch } = shard;
  if (epoch > env.CELL_EPOCH)
    return failed("EpochOlder", `epoch ${epoch} is in force, ${env.CELL_EPOCH} was asked for`, epoch);
  const { REDIS_URL: url, REDIS_URL_BEFORE: before } = env;
  const uncached = url === undefined ? undefined : await reasonOf(admitToCache(url, before, log));
  if (uncached !== undefined) return failed("CacheUnreachable", uncached);
  const settings = {
    partitions: env.KAFKA_PARTITIONS,
    replicas: env.KAFKA_REPLICAS,
    retentionHours: env.KAFKA_RETENTION_HOURS,
  };
  const refused = await withKafka(env, log, looking, (kafka) =>
    kafka.ensureTopics(topicsOf(env.CELL), settings),
  );
  return refused ?? { ok: true, epoch, schema: schemaHash(migrations) };
}

function kafkaAway(error: unknown): { ok: false; reason: "KafkaUnreachable"; message: string } {
  if (!(error instanceof NotYet)) throw error;
  return { ok: false, reason: "KafkaUnreachable", message: error.message };
}

type Found = { readonly ok: true; readonly broker: string } | { readonly ok: false; readonly why: string };

const clientIdOf = (env: ProvisionEnv) => `${env.CELL}-provision`;

/** The first broker that answers, or a sentence about why none does. */
async function findKafka(env: ProvisionEnv): Promise<Found> {
  const options = { brokers: env.KAFKA_BROKERS.split(","), clientId: clientIdOf(env) };
  let broker = "";
  const why = await reach(async () => {
    broker = await answeringBroker(options, BROKER_TIMEOUT_MS);
  });
  if (why === undefined) return { ok: true, broker };
  const text = `No broker of ${env.KAFKA_BROKERS} answered within ${REACH_SECONDS} seconds: ${errorText(why)}`;
  return { ok: false, why: text };
}

/** Does something with topics once a broker has been found; answers why that was not possible. */
async function withKafka(
  env: ProvisionEnv,
  log: Logger,
  looking: Promise<Found>,
  work: (kafka: KafkaBus) => Promise<void>,
): Promise<ProvisionReport | undefined> {
  const found = await looking;
  if (!found.ok) return failed("KafkaUnreachable", found.why);
  // It names the others; beginning with one that is silent would take longer than anybody waits.
  const kafka = createKafka({ brokers: [found.broker], clientId: clientIdOf(env), log });
  try {
    const refused = await reach(() => work(kafka));
    return refused === undefined ? undefined : failed("KafkaUnreachable", errorText(refused));
  } finally {
    await kafka.close();
  }
}

/** The database first: while it is there, something may still write into the topics. */
async function removeAll(env: ProvisionEnv, log: Logger): Promise<ProvisionReport> {
  const shard = await removeShard(env, log);
  const refused = await withKafka(env, log, findKafka(env), (kafka) =>
    kafka.removeTopics(topicsOf(env.CELL)),
  );
  if (!shard.ok) return failed(shard.reason, shard.message);
  return refused ?? { ok: true, epoch: env.CELL_EPOCH, schema: "" };
}

/** `fence --epoch N`: puts a newer epoch in force and ends the sessions that began under an older one. */
export async function fenceCommand(
  raw: Readonly<Record<string, string | undefined>>,
  epoch: number,
): Promise<number> {
  if (!Number.isSafeInteger(epoch) || epoch < 0) throw new Error("say which epoch: fence --epoch N");
  const env = loadConfig(envSchema, { KAFKA_BROKERS: "unused", ...raw, CELL_EPOCH: String(epoch) });
  const log = createLogger({ service: "fence", cell: env.CELL, level: env.LOG_LEVEL });
  const report = await withShard(env, log, async (shard): Promise<ProvisionReport> => {
    const inForce = await raiseEpoch(shard, epoch, env.DATABASE_ROLE_PREFIX);
    const ended = await endOlderSessions(shard, env.DATABASE_ROLE_PREFIX);
    log.info({ epoch: inForce, ended }, "fenced");
    return inForce > epoch
      ? failed("EpochOlder", `epoch ${inForce} is in force already`, inForce)
      : { ok: true, epoch: inForce, schema: "" };
  });
  await writeFile(env.TERMINATION_LOG, JSON.stringify(report)).catch(() => undefined);
  if (!report.ok) log.error({ report }, "fencing failed");
  return report.ok ? 0 : 1;
}

/**
 * `retire`: once every service logs in with the credentials of CREDENTIALS_GENERATION, nobody may with those from before.
 * Returns the exit code.
 */
export async function retireCommand(raw: Readonly<Record<string, string | undefined>>): Promise<number> {
  const env = loadConfig(envSchema, { KAFKA_BROKERS: "unused", ...raw });
  const log = createLogger({ service: "retire", cell: env.CELL, level: env.LOG_LEVEL });
  const report = await retire(env, log);
  await writeFile(env.TERMINATION_LOG, JSON.stringify(report)).catch(() => undefined);
  log.info({ report }, "former credentials");
  return report.ok ? 0 : 1;
}

async function retire(env: ProvisionEnv, log: Logger): Promise<ProvisionReport> {
  if (env.REDIS_URL === undefined) throw new Error("set REDIS_URL to the address of the cell's Redis");
  const uncached = await reasonOf(retireFromCache(env.REDIS_URL, log));
  if (uncached !== undefined) return failed("CacheUnreachable", uncached);
  const done = { ok: true as const, epoch: env.CELL_EPOCH, schema: "" };
  return withServer(env, log, (server) =>
    withShard(env, log, async (shard): Promise<ProvisionReport> => {
      await retireRoles(server, shard, env.CREDENTIALS_GENERATION, env.DATABASE_ROLE_PREFIX);
      return done;
    }),
  );
}

/** Why Redis does not do what it should; undefined when it does. */
async function reasonOf(work: Promise<void>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof CacheNotReady) return error.message;
    throw error;
  }
}

function failed(reason: ProvisionFailure, message: string, epoch?: number): ProvisionReport {
  return { ok: false, reason, message: message.slice(0, 1_000), ...(epoch === undefined ? {} : { epoch }) };
}
