import { z } from "zod";
import { intSetting } from "../platform/config.ts";
import { roleOf } from "../platform/credentials.ts";
import {
  closeDatabase,
  DatabaseTaken,
  dropDatabase,
  ensureDatabase,
  isLoginRefused,
  isPermissionDenied,
  type OwnDatabase,
} from "../platform/database.ts";
import { errorText, type Logger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { MigrationError } from "../platform/migrate.ts";
import { ensureRole, prepareShard, type ShardOptions } from "../platform/provision.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql, type SqlOptions } from "../platform/sql.ts";
import { isDatabaseAway } from "../platform/sqlstate.ts";
import { TLS_MODES, tlsModeOfUrl } from "../platform/sqltls.ts";
import { changeAdminPassword } from "./rotation.ts";

const DDL_TIMEOUT_MS = 60_000;
/** A Job that cannot begin says so soon, by ending: its controller repeats it, and nobody reads the words of one that runs. */
export const REACH_SECONDS = 3;
const REACH_DELAY_MS = 500;

/** Where the shard is. With DATABASE_OWNER it is a database of its own on a server that others share. */
export const shardEnvSchema = z.object({
  CELL: z.string().min(1).max(40),
  DATABASE_ADMIN_URL: z.string().optional(),
  /** The administrator's password before the one in the URL, while that is not in force yet. */
  DATABASE_ADMIN_PASSWORD_BEFORE: z.string().min(1).optional(),
  CREDENTIALS_GENERATION: intSetting(0, 1_000_000).default(0),
  /** What to make when the administrator's URL is missing, for people. */
  DATABASE_ADMIN_SECRET: z.string().default("database"),
  DATABASE_HOST: z.string().default("127.0.0.1"),
  DATABASE_PORT: intSetting(1, 65_535).default(5432),
  DATABASE_NAME: z.string().default("cell"),
  DATABASE_OWNER: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,49}$/, "a role's name in lower case")
    .optional(),
  DATABASE_OWNER_PASSWORD: z.string().min(1).optional(),
  DATABASE_ROLE_PREFIX: z
    .string()
    .regex(/^([a-z_][a-z0-9_]{0,49})?$/, "the beginning of a role's name in lower case")
    .default(""),
  /** How long a server that does not answer is waited for; it may be starting. */
  DATABASE_WAIT_SECONDS: intSetting(1, 600).default(REACH_SECONDS),
  DATABASE_TLS: z.enum(TLS_MODES).default("Disable"),
  DATABASE_CA: z.string().max(65_536).optional(),
});
export type ShardEnv = z.output<typeof shardEnvSchema>;

export type ShardFailure =
  | "AdminSecretMissing"
  | "DatabaseUnreachable"
  | "DatabaseLoginRefused"
  | "DatabasePermissionDenied"
  | "DatabaseTaken"
  | "DatabaseNotRemoved"
  | "MigrationFailed";
export interface ShardRefused {
  readonly ok: false;
  readonly reason: ShardFailure;
  readonly message: string;
}

/** Something else that the Job needs is away, so it changes nothing; the message says what. */
export class NotYet extends Error {}

/** Database and roles of a cell that shares its server; undefined where the cell has a server of its own. */
export function ownDatabaseOf(env: ShardEnv): OwnDatabase | undefined {
  return env.DATABASE_OWNER === undefined
    ? undefined
    : {
        name: env.DATABASE_NAME,
        owner: env.DATABASE_OWNER,
        users: SLICE_NAMES.flatMap((slice) => {
          const inTurn = [0, env.CREDENTIALS_GENERATION].map((generation) =>
            roleOf(slice, generation, env.DATABASE_ROLE_PREFIX),
          );
          return [...new Set(inTurn)];
        }),
      };
}

/** Runs `work` as the administrator of the server, who may make roles and databases. */
export async function withServer<T>(
  env: ShardEnv,
  log: Logger,
  work: (server: Sql) => Promise<T>,
): Promise<T | ShardRefused> {
  const url = env.DATABASE_ADMIN_URL;
  if (url === undefined || url === "")
    return refused(
      "AdminSecretMissing",
      `Secret ${env.DATABASE_ADMIN_SECRET} has no key admin-url: put the URL of a role with CREATEDB and CREATEROLE there.`,
    );
  const tls = { mode: tlsModeOfUrl(url) ?? env.DATABASE_TLS, ca: env.DATABASE_CA };
  const address = { ...parseDatabaseUrl(url), tls };
  await changeAdminPassword(env, poolOptions(env, log), address);
  return withPool(env, log, address, work);
}

/** Runs `work` as whoever owns the shard: its own role on a shared server, else the administrator. */
export async function withShard<T>(
  env: ShardEnv,
  log: Logger,
  work: (shard: Sql) => Promise<T>,
): Promise<T | ShardRefused> {
  const own = ownDatabaseOf(env);
  if (own === undefined) return withServer(env, log, work);
  const address = {
    host: env.DATABASE_HOST,
    port: env.DATABASE_PORT,
    database: own.name,
    user: own.owner,
    password: env.DATABASE_OWNER_PASSWORD ?? "",
    tls: { mode: env.DATABASE_TLS, ca: env.DATABASE_CA },
  };
  const asOwner = () => withPool(env, log, address, work);
  const answer = await asOwner();
  if (!isRefused(answer) || answer.reason !== "DatabaseLoginRefused") return answer;
  // Its password changes with the cell's credentials: the first Job that has the new one puts it in force.
  return withServer(env, log, async (server) => {
    await ensureRole(server, own.owner, address.password);
    return asOwner();
  });
}

function isRefused(answer: unknown): answer is ShardRefused {
  return typeof answer === "object" && answer !== null && "ok" in answer && answer.ok === false;
}

/** Makes roles, schemas, tables and lease, and on a shared server the database before that. Answers the epoch in force. */
export async function provisionShard(
  env: ShardEnv,
  log: Logger,
  options: Pick<ShardOptions, "passwords" | "migrations" | "epoch" | "holder" | "beforeChange">,
): Promise<{ ok: true; epoch: number } | ShardRefused> {
  const own = ownDatabaseOf(env);
  const generation = env.CREDENTIALS_GENERATION;
  const work = async (server: Sql): Promise<{ ok: true; epoch: number } | ShardRefused> => {
    if (own === undefined)
      return { ok: true, epoch: await prepareShard({ admin: server, generation, ...options }) };
    await ensureDatabase(server, own, env.DATABASE_OWNER_PASSWORD ?? "");
    return withShard(env, log, async (owner) => {
      const rolePrefix = env.DATABASE_ROLE_PREFIX;
      const epoch = await prepareShard({
        admin: owner,
        roles: server,
        rolePrefix,
        generation,
        ...options,
      });
      if (epoch > options.epoch) return { ok: true as const, epoch };
      // As a member the owner may end the sessions of those that write under an older epoch.
      for (const user of own.users) await server.query(`GRANT ${user} TO ${own.owner}`);
      await closeDatabase(owner, own);
      return { ok: true as const, epoch };
    });
  };
  try {
    return await withServer(env, log, work);
  } catch (error) {
    if (error instanceof NotYet) throw error;
    const cause = error instanceof MigrationError ? error.cause : error;
    const message = error instanceof MigrationError ? error.message : errorText(error);
    // A database that went away meanwhile comes back; only what the migration itself says waits for a person.
    return refused(
      cause !== undefined && isDatabaseAway(cause) ? "DatabaseUnreachable" : "MigrationFailed",
      message,
    );
  }
}

/** Removes what the cell has on a shared server; a server of its own goes with the namespace. */
export async function removeShard(env: ShardEnv, log: Logger): Promise<{ ok: true } | ShardRefused> {
  const own = ownDatabaseOf(env);
  if (own === undefined) return { ok: true };
  try {
    return await withServer(env, log, async (server) => {
      const users = SLICE_NAMES.flatMap((slice) =>
        [0, 1].map((turn) => roleOf(slice, turn, env.DATABASE_ROLE_PREFIX)),
      );
      await dropDatabase(server, { ...own, users });
      return { ok: true as const };
    });
  } catch (error) {
    return refused("DatabaseNotRemoved", errorText(error));
  }
}

async function withPool<T>(
  env: ShardEnv,
  log: Logger,
  address: Pick<SqlOptions, "host" | "port" | "database" | "user" | "password" | "tls">,
  work: (sql: Sql) => Promise<T>,
): Promise<T | ShardRefused> {
  const sql = createSql({ ...address, ...poolOptions(env, log) });
  try {
    const unreached = await reach(() => sql.query("SELECT 1"), {
      waitMs: env.DATABASE_WAIT_SECONDS * 1_000,
      isFinal: isLoginRefused,
    });
    if (unreached !== undefined)
      return refused(
        isLoginRefused(unreached) ? "DatabaseLoginRefused" : "DatabaseUnreachable",
        errorText(unreached),
      );
    return await work(sql);
  } catch (error) {
    if (error instanceof DatabaseTaken) return refused("DatabaseTaken", error.message);
    if (!isPermissionDenied(error)) throw error;
    const text = error instanceof MigrationError ? error.message : errorText(error);
    return refused(
      "DatabasePermissionDenied",
      `${text}: role ${address.user} needs the rights CREATEDB and CREATEROLE.`,
    );
  } finally {
    await sql.close();
  }
}

function poolOptions(env: ShardEnv, log: Logger) {
  return {
    applicationName: "provision",
    log,
    metrics: createMetrics({ service: "provision", cell: env.CELL }),
    max: 2,
    statementTimeoutMs: DDL_TIMEOUT_MS,
  };
}

function refused(reason: ShardFailure, message: string): ShardRefused {
  return { ok: false, reason, message };
}

/** Undefined when it worked, else why it did not. Begins nothing that by what was seen would end after `waitMs`. */
export async function reach(
  run: () => Promise<unknown>,
  options: { readonly waitMs?: number; readonly isFinal?: (error: unknown) => boolean } = {},
): Promise<unknown> {
  const { waitMs = REACH_SECONDS * 1_000, isFinal = () => false } = options;
  const endMs = performance.now() + waitMs;
  for (;;) {
    const beganMs = performance.now();
    try {
      await run();
      return undefined;
    } catch (error) {
      const nowMs = performance.now();
      if (isFinal(error) || nowMs + REACH_DELAY_MS + (nowMs - beganMs) > endMs) return error;
      await new Promise((resolve) => setTimeout(resolve, REACH_DELAY_MS));
    }
  }
}
