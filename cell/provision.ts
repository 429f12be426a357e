import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { intSetting, loadConfig } from "../platform/config.ts";
import { deadLetterTopicOf, topicOf } from "../platform/events.ts";
import { createKafka } from "../platform/kafka.ts";
import { createLogger, errorText, type Logger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import {
  type Migration,
  MigrationError,
  migrationOf,
  readMigrations,
  schemaHash,
} from "../platform/migrate.ts";
import { endOlderSessions, prepareShard, raiseEpoch } from "../platform/provision.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../platform/sql.ts";
import { templateStatements } from "../platform/template.ts";

const envSchema = z.object({
  CELL: z.string().min(1).max(40),
  CELL_EPOCH: intSetting(0, Number.MAX_SAFE_INTEGER),
  DATABASE_ADMIN_URL: z.string().min(1),
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
export type ProvisionFailure = "KafkaUnreachable" | "DatabaseUnreachable" | "MigrationFailed" | "EpochOlder";

const DDL_TIMEOUT_MS = 60_000;
const REACH_ATTEMPTS = 30;
const REACH_DELAY_MS = 1_000;

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
  const report = remove ? await removeTopics(env, log) : await provision(env, raw, log);
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
  const admin = openAdmin(env, log);
  try {
    const reached = await reach(() => admin.query("SELECT 1"));
    if (reached !== undefined) return failed("DatabaseUnreachable", reached);
    const migrations = await allMigrations();
    const passwords: Partial<Record<SliceName, string>> = {};
    for (const slice of SLICE_NAMES) {
      const password = raw[`DATABASE_PASSWORD_${slice.toUpperCase()}`];
      if (password) passwords[slice] = password;
    }
    const epoch = await prepareShard({
      admin,
      passwords,
      migrations,
      epoch: env.CELL_EPOCH,
      holder: randomUUID(),
    });
    if (epoch > env.CELL_EPOCH)
      return failed("EpochOlder", `epoch ${epoch} is in force, ${env.CELL_EPOCH} was asked for`, epoch);
    const topics = await makeTopics(env, log);
    return topics ?? { ok: true, epoch, schema: schemaHash(migrations) };
  } catch (error) {
    return failed("MigrationFailed", error instanceof MigrationError ? error.message : errorText(error));
  } finally {
    await admin.close();
  }
}

async function makeTopics(env: ProvisionEnv, log: Logger): Promise<ProvisionReport | undefined> {
  const kafka = createKafka({
    brokers: env.KAFKA_BROKERS.split(","),
    clientId: `${env.CELL}-provision`,
    log,
  });
  const settings = {
    partitions: env.KAFKA_PARTITIONS,
    replicas: env.KAFKA_REPLICAS,
    retentionHours: env.KAFKA_RETENTION_HOURS,
  };
  try {
    const reached = await reach(() => kafka.ensureTopics(topicsOf(env.CELL), settings));
    return reached === undefined ? undefined : failed("KafkaUnreachable", reached);
  } finally {
    await kafka.close();
  }
}

async function removeTopics(env: ProvisionEnv, log: Logger): Promise<ProvisionReport> {
  const kafka = createKafka({
    brokers: env.KAFKA_BROKERS.split(","),
    clientId: `${env.CELL}-provision`,
    log,
  });
  try {
    const reached = await reach(() => kafka.removeTopics(topicsOf(env.CELL)));
    return reached === undefined
      ? { ok: true, epoch: env.CELL_EPOCH, schema: "" }
      : failed("KafkaUnreachable", reached);
  } finally {
    await kafka.close();
  }
}

/** `fence --epoch N`: puts a newer epoch in force and ends the sessions that began under an older one. */
export async function fenceCommand(
  raw: Readonly<Record<string, string | undefined>>,
  epoch: number,
): Promise<number> {
  if (!Number.isSafeInteger(epoch) || epoch < 0) throw new Error("say which epoch: fence --epoch N");
  const env = loadConfig(envSchema, { KAFKA_BROKERS: "unused", ...raw, CELL_EPOCH: String(epoch) });
  const log = createLogger({ service: "fence", cell: env.CELL, level: env.LOG_LEVEL });
  const admin = openAdmin(env, log);
  try {
    const inForce = await raiseEpoch(admin, epoch);
    const ended = await endOlderSessions(admin);
    const report: ProvisionReport =
      inForce > epoch
        ? failed("EpochOlder", `epoch ${inForce} is in force already`, inForce)
        : { ok: true, epoch: inForce, schema: "" };
    await writeFile(env.TERMINATION_LOG, JSON.stringify(report)).catch(() => undefined);
    log.info({ report, ended }, "fenced");
    return report.ok ? 0 : 1;
  } finally {
    await admin.close();
  }
}

function openAdmin(env: ProvisionEnv, log: Logger): Sql {
  return createSql({
    ...parseDatabaseUrl(env.DATABASE_ADMIN_URL),
    applicationName: "provision",
    log,
    metrics: createMetrics({ service: "provision", cell: env.CELL }),
    max: 2,
    statementTimeoutMs: DDL_TIMEOUT_MS,
  });
}

function failed(reason: ProvisionFailure, message: string, epoch?: number): ProvisionReport {
  return { ok: false, reason, message: message.slice(0, 1_000), ...(epoch === undefined ? {} : { epoch }) };
}

/** Undefined when it worked, else why it did not within the time that a store needs to start. */
async function reach(run: () => Promise<unknown>): Promise<string | undefined> {
  let last = "";
  for (let attempt = 1; attempt <= REACH_ATTEMPTS; attempt++) {
    try {
      await run();
      return undefined;
    } catch (error) {
      last = errorText(error);
      await new Promise((resolve) => setTimeout(resolve, REACH_DELAY_MS));
    }
  }
  return last;
}
