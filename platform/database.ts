import { MigrationError } from "./migrate.ts";
import { ensureRole, isCockroach } from "./provision.ts";
import type { Sql } from "./sql.ts";
import { sqlState } from "./sqlstate.ts";

/** The database of one cell on a server that many share. */
export interface OwnDatabase {
  readonly name: string;
  /** Role that owns it and everything in it; named for the cell, so that a database of another cell is told from ours. */
  readonly owner: string;
  /** Roles that log in to it; made later, and gone with it. */
  readonly users: readonly string[];
}

/** Somebody else's database has the name; nothing was touched. */
export class DatabaseTaken extends Error {}

const EXISTS = "42P04";

/**
 * Makes the role that owns the database, and the database; may be repeated and killed anywhere. Nobody but its own roles may log in
 * to it afterwards. `admin` needs CREATEDB and CREATEROLE, no more.
 */
export async function ensureDatabase(
  admin: Sql,
  database: OwnDatabase,
  ownerPassword: string,
): Promise<void> {
  const { name, owner } = database;
  await refuseTaken(admin, database);
  await ensureRole(admin, owner, ownerPassword);
  // Only a member may give a database to a role; whoever made the role may make itself one.
  await admin.query(`GRANT ${owner} TO CURRENT_USER`);
  try {
    await admin.query(`CREATE DATABASE "${name}" OWNER ${owner}`);
  } catch (error) {
    if (sqlState(error) !== EXISTS) throw error;
    await refuseTaken(admin, database);
  }
}

/** Lets the cell's roles in and nobody else; as the owner, inside of the database. */
export async function closeDatabase(owner: Sql, database: OwnDatabase): Promise<void> {
  const { name, users } = database;
  await owner.query(`REVOKE ALL ON DATABASE "${name}" FROM PUBLIC`);
  for (const user of users) await owner.query(`GRANT CONNECT ON DATABASE "${name}" TO ${user}`);
}

/** Removes the database and its roles; what is not there is no failure, and a database of somebody else is left alone. */
export async function dropDatabase(admin: Sql, database: OwnDatabase): Promise<void> {
  const { name, owner, users } = database;
  await refuseTaken(admin, database);
  // PostgreSQL keeps a database that somebody still looks at unless it is told not to; CockroachDB has no such word.
  if (await isCockroach(admin)) await admin.query(`DROP DATABASE IF EXISTS "${name}"`);
  else await admin.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
  for (const role of [...users, owner]) await admin.query(`DROP ROLE IF EXISTS ${role}`);
}

async function refuseTaken(admin: Sql, { name, owner }: OwnDatabase): Promise<void> {
  const [found] = await admin.query<{ owner: string }>(
    "SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1",
    [name],
  );
  if (found !== undefined && found.owner !== owner)
    throw new DatabaseTaken(
      `Database ${name} belongs to role ${found.owner}, not to ${owner}: name another in database.external.name.`,
    );
}

/** The cell may not be given what it asked for: says what the administrator's role lacks. */
export function isPermissionDenied(error: unknown): boolean {
  const cause = error instanceof MigrationError ? error.cause : error;
  return sqlState(cause) === "42501";
}

/** The administrator's name or password is wrong, or the server lets it in from nowhere (classes 28 of SQLSTATE). */
export function isLoginRefused(error: unknown): boolean {
  return sqlState(error)?.startsWith("28") === true;
}
