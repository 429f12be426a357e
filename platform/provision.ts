import { roleOf } from "./credentials.ts";
import { errorText } from "./log.ts";
import { type Migration, MigrationError, migrate } from "./migrate.ts";
import { SLICE_NAMES, type SliceName } from "./slices.ts";
import type { Sql } from "./sql.ts";
import { sqlState } from "./sqlstate.ts";

const NO_SUCH_TABLE = new Set(["42P01", "3F000"]);
/** CockroachDB has no function to end a session; its idle-in-transaction timeout does it. */
const NO_SUCH_FUNCTION = "42883";
const ROLE_EXISTS = "42710";
const NO_SUCH_ROLE = "42704";
const CANCELED = "57014";
const RAISE_WAIT = "2s";
const RAISE_ATTEMPTS = 20;

export interface ShardOptions {
  /** A role that may create schemas, and roles where `roles` is not given. */
  readonly admin: Sql;
  /** Makes the roles instead of `admin`: on a server of many cells that one owns its database and nothing else. */
  readonly roles?: Sql;
  /** Begins the name of each role: roles are the server's, so those of two cells must differ. */
  readonly rolePrefix?: string;
  readonly passwords: Readonly<Partial<Record<SliceName, string>>>;
  /** Whose passwords these are: the role that the slices log in as from this generation on; default 0. */
  readonly generation?: number;
  readonly migrations: readonly Migration[];
  readonly epoch: number;
  readonly holder: string;
  /** Called before anything is changed, once the epoch is known to be new enough; what it throws ends the work. */
  readonly beforeChange?: () => Promise<void>;
}

/**
 * Makes roles, schemas, tables, rights and the lease of one shard; may be repeated and killed anywhere. Returns the epoch in force:
 * when that is newer than the one asked for, nothing was touched.
 */
export async function prepareShard(options: ShardOptions): Promise<number> {
  const { admin, roles = admin, rolePrefix = "", passwords, generation = 0 } = options;
  const { migrations, epoch, holder } = options;
  const inForce = await epochInForce(admin);
  if (inForce !== undefined && inForce > epoch) return inForce;
  await options.beforeChange?.();
  for (const slice of SLICE_NAMES) {
    const password = passwords[slice];
    if (password !== undefined) await ensureRoles(roles, slice, rolePrefix, generation, password);
    await admin.query(`CREATE SCHEMA IF NOT EXISTS ${slice}`);
  }
  await migrate(admin, migrations, holder);
  await ensureLease(admin);
  const cockroach = await isCockroach(admin);
  for (const slice of SLICE_NAMES)
    if (passwords[slice] !== undefined) await grant(admin, slice, `${rolePrefix}${slice}`, cockroach);
  return raiseEpoch(admin, epoch, rolePrefix);
}

/** The slice's own role has the rights; the one that this generation logs in as gets the password, the other is left alone. */
async function ensureRoles(
  roles: Sql,
  slice: SliceName,
  prefix: string,
  generation: number,
  password: string,
): Promise<void> {
  const own = roleOf(slice, 0, prefix);
  const login = roleOf(slice, generation, prefix);
  if (login !== own) await created(own, () => roles.query(`CREATE ROLE ${own} NOLOGIN`));
  await ensureRole(roles, login, password);
  if (login !== own) await retryBusyCatalog(() => roles.query(`GRANT ${own} TO ${login}`));
}

/** Makes a role that may log in, or gives the one that exists this password. */
export async function ensureRole(admin: Sql, role: string, password: string): Promise<void> {
  // Role names are ours; the password is the only value, and DDL takes no parameters.
  const quoted = `'${password.replaceAll("'", "''")}'`;
  if (await created(role, () => admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${quoted}`))) return;
  await retryBusyCatalog(() => admin.query(`ALTER ROLE ${role} LOGIN PASSWORD ${quoted}`));
}

/** False when the role exists. */
async function created(role: string, create: () => Promise<unknown>): Promise<boolean> {
  try {
    await create();
    return true;
  } catch (error) {
    if (sqlState(error) === ROLE_EXISTS) return false;
    throw new MigrationError(`role ${role}: ${errorText(error)}`, { cause: error });
  }
}

/**
 * Locks out the roles that `generation` does not use, and ends their sessions. May be repeated; a role that was never made
 * is none to lock out. `roles` may alter roles, `shard` may end their sessions.
 */
export async function retireRoles(roles: Sql, shard: Sql, generation: number, prefix = ""): Promise<void> {
  const former = SLICE_NAMES.map((slice) => roleOf(slice, generation + 1, prefix));
  for (const role of former) {
    try {
      await retryBusyCatalog(() => roles.query(`ALTER ROLE ${role} NOLOGIN PASSWORD NULL`));
    } catch (error) {
      if (sqlState(error) !== NO_SUCH_ROLE) throw error;
    }
  }
  await endSessions(shard, former);
}

async function ensureLease(admin: Sql): Promise<void> {
  await admin.query("CREATE SCHEMA IF NOT EXISTS cell");
  await admin.query(
    `CREATE TABLE IF NOT EXISTS cell.lease (
       id INT8 NOT NULL PRIMARY KEY CHECK (id = 1), epoch INT8 NOT NULL, guard INT8 NOT NULL DEFAULT 0)`,
  );
  await admin.query("INSERT INTO cell.lease (id, epoch) VALUES (1, 0) ON CONFLICT (id) DO NOTHING");
}

/** What of our SQL differs between the engines asks this first. */
export async function isCockroach(sql: Sql): Promise<boolean> {
  const [row] = await sql.query<{ version: string }>("SELECT version() AS version");
  return row?.version.startsWith("CockroachDB") === true;
}

async function grant(admin: Sql, slice: SliceName, role: string, cockroach: boolean): Promise<void> {
  const statements = [
    `GRANT USAGE ON SCHEMA ${slice} TO ${role}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${slice} TO ${role}`,
    `GRANT USAGE ON SCHEMA cell TO ${role}`,
    `GRANT SELECT ON cell.lease TO ${role}`,
    // FOR SHARE asks for an UPDATE right on some column: this one means nothing. CockroachDB gives rights on whole tables only.
    cockroach ? `GRANT UPDATE ON cell.lease TO ${role}` : `GRANT UPDATE (guard) ON cell.lease TO ${role}`,
  ];
  for (const statement of statements) await retryBusyCatalog(() => admin.query(statement));
  // Logs and ledgers are appended to, never rewritten: the right is missing, not just the code.
  const kept = await admin.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = $1 AND (table_name LIKE '%\\_log' OR table_name IN ('movement', 'repair'))`,
    [slice],
  );
  for (const { name } of kept)
    await retryBusyCatalog(() => admin.query(`REVOKE UPDATE, DELETE ON ${slice}.${name} FROM ${role}`));
}

/** Two provisionings of one cluster at once may both touch a row of the catalogue ("tuple concurrently updated", XX000). */
async function retryBusyCatalog(run: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await run();
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "XX000" || attempt >= 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50 * attempt));
    }
  }
}

/** The epoch of the lease row; undefined in a shard that has none yet. */
export async function epochInForce(admin: Sql): Promise<number | undefined> {
  try {
    const rows = await admin.query<{ epoch: number }>("SELECT epoch FROM cell.lease WHERE id = 1");
    return rows[0]?.epoch;
  } catch (error) {
    if (NO_SUCH_TABLE.has(sqlState(error) ?? "")) return undefined;
    throw error;
  }
}

/**
 * Puts an epoch in force unless it or a newer one is. Writers hold the row for share, and on a busy shard there is always one: after a
 * while their sessions, which are those that the new epoch shuts out, are ended.
 */
export async function raiseEpoch(admin: Sql, epoch: number, rolePrefix = ""): Promise<number> {
  const present = await epochInForce(admin);
  if (present !== undefined && present >= epoch) return present;
  for (let attempt = 1; ; attempt++) {
    try {
      return await raiseOnce(admin, epoch);
    } catch (error) {
      if (sqlState(error) !== CANCELED || attempt >= RAISE_ATTEMPTS) throw error;
      await endOlderSessions(admin, rolePrefix);
    }
  }
}

async function raiseOnce(admin: Sql, epoch: number): Promise<number> {
  const rows = await admin.transaction(
    async (tx) => {
      // A lock timeout would count anew for each of the writers that hold the row, one after the other.
      await tx.query("SELECT set_config('statement_timeout', $1, true)", [RAISE_WAIT]);
      return tx.query<{ epoch: number }>(
        "UPDATE cell.lease SET epoch = GREATEST(epoch, $1) WHERE id = 1 RETURNING epoch",
        [epoch],
      );
    },
    { epoch: null },
  );
  const inForce = rows[0]?.epoch;
  if (inForce === undefined) throw new MigrationError("the shard has no lease row; provision it first");
  return inForce;
}

/**
 * Ends the sessions of the slices' roles, so that none that began under an older epoch goes on; answers how many. The epoch is what
 * fences: this only makes it quicker.
 */
export function endOlderSessions(admin: Sql, rolePrefix = ""): Promise<number> {
  return endSessions(
    admin,
    SLICE_NAMES.flatMap((slice) => [roleOf(slice, 0, rolePrefix), roleOf(slice, 1, rolePrefix)]),
  );
}

async function endSessions(admin: Sql, roles: readonly string[]): Promise<number> {
  try {
    const rows = await admin.query(
      `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
       WHERE datname = current_database() AND usename = ANY($1) AND pid <> pg_backend_pid()`,
      [[...roles]],
    );
    return rows.length;
  } catch (error) {
    if (sqlState(error) === NO_SUCH_FUNCTION) return 0;
    throw error;
  }
}
