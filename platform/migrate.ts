import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "./sql.ts";

/** One file of statements, in the order in which it is applied. */
export interface Migration {
  /** `<schema>/<file>`. */
  readonly name: string;
  readonly statements: readonly string[];
  readonly sha256: string;
}

/** A migration cannot go on; the message says which and why. */
export class MigrationError extends Error {}

const LEDGER = [
  "CREATE SCHEMA IF NOT EXISTS cell",
  `CREATE TABLE IF NOT EXISTS cell.migration (
     name TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL, statements_done INT8 NOT NULL,
     applied_at TIMESTAMPTZ NOT NULL DEFAULT now())`,
  `CREATE TABLE IF NOT EXISTS cell.migration_lock (
     id INT8 NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until TIMESTAMPTZ NOT NULL)`,
  "INSERT INTO cell.migration_lock (id, holder, until) VALUES (1, '', now()) ON CONFLICT (id) DO NOTHING",
];

/** A process that was killed keeps the lock this long; a living one renews it three times as often. */
const LOCK_SECONDS = 15;
const LOCK_WAIT_MS = 90_000;
const LOCK_POLL_MS = 500;

/** Splits a file at semicolons that end a line; comment lines are left out. */
export function splitStatements(text: string): string[] {
  const code = text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("--"))
    .join("\n");
  return code
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}

/** Makes a migration out of statements. */
export function migrationOf(name: string, statements: readonly string[]): Migration {
  const sha256 = createHash("sha256").update(statements.join(";\n")).digest("hex");
  return { name, statements, sha256 };
}

/** Reads `NNN-name.sql` files of a folder in order; an absent folder has none. */
export async function readMigrations(schema: string, folder: string): Promise<Migration[]> {
  const files = await readdir(folder).catch(() => [] as string[]);
  const sorted = files.filter((file) => /^\d{3}-[\w-]+\.sql$/.test(file)).sort();
  return Promise.all(
    sorted.map(async (file) =>
      migrationOf(`${schema}/${file}`, splitStatements(await readFile(join(folder, file), "utf8"))),
    ),
  );
}

/** One hash over all migrations: the version of the schema as a whole. */
export function schemaHash(migrations: readonly Migration[]): string {
  const all = createHash("sha256");
  for (const { name, sha256 } of migrations) all.update(`${name} ${sha256}\n`);
  return all.digest("hex").slice(0, 16);
}

/**
 * Applies what has not been applied, each statement in a transaction of its own, one process at a time. Killed
 * anywhere, it goes on with the next statement; a statement may be run twice when killed between it and its mark, so
 * statements say IF NOT EXISTS. A file that changed after it was applied is refused.
 */
export async function migrate(sql: Sql, migrations: readonly Migration[], holder: string): Promise<number> {
  for (const statement of LEDGER) await ignoreRace(() => sql.query(statement));
  await takeLock(sql, holder);
  const lock = keepLock(sql, holder);
  try {
    let applied = 0;
    for (const migration of migrations) applied += await applyOne(sql, migration, lock);
    return applied;
  } finally {
    await lock.release();
  }
}

async function applyOne(sql: Sql, migration: Migration, lock: Lock): Promise<number> {
  const { name, sha256, statements } = migration;
  const rows = await sql.query<{ sha256: string; statements_done: number }>(
    "SELECT sha256, statements_done FROM cell.migration WHERE name = $1",
    [name],
  );
  const found = rows[0];
  if (found && found.sha256 !== sha256)
    throw new MigrationError(`${name} was changed after it was applied; put the change into a new file`);
  if (!found)
    await sql.query("INSERT INTO cell.migration (name, sha256, statements_done) VALUES ($1, $2, 0)", [
      name,
      sha256,
    ]);
  let applied = 0;
  for (let index = found?.statements_done ?? 0; index < statements.length; index++) {
    const statement = statements[index] ?? "";
    if (lock.lost()) throw new MigrationError("another migration took over; this one stops");
    try {
      await sql.query(statement);
    } catch (error) {
      throw new MigrationError(`${name}, statement ${index + 1}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    await sql.query("UPDATE cell.migration SET statements_done = $2 WHERE name = $1", [name, index + 1]);
    applied++;
  }
  return applied;
}

async function takeLock(sql: Sql, holder: string): Promise<void> {
  const untilMs = Date.now() + LOCK_WAIT_MS;
  while (!(await tryLock(sql, holder))) {
    if (Date.now() > untilMs) throw new MigrationError("another migration is running and does not end");
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
}

async function tryLock(sql: Sql, holder: string): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE cell.migration_lock SET holder = $1, until = now() + INTERVAL '${LOCK_SECONDS} seconds'
     WHERE id = 1 AND (holder = $1 OR until < now()) RETURNING id`,
    [holder],
  );
  return rows.length === 1;
}

interface Lock {
  lost(): boolean;
  release(): Promise<void>;
}

/** Renews beside the statements, because one of them may take longer than the lock lasts. */
function keepLock(sql: Sql, holder: string): Lock {
  let renewedAtMs = performance.now();
  let renewing: Promise<void> = Promise.resolve();
  const timer = setInterval(
    () => {
      const startedAtMs = performance.now();
      renewing = tryLock(sql, holder)
        .then((held) => {
          renewedAtMs = held ? startedAtMs : Number.NEGATIVE_INFINITY;
        })
        .catch(() => undefined);
    },
    (LOCK_SECONDS * 1000) / 3,
  );
  return {
    lost: () => performance.now() - renewedAtMs > LOCK_SECONDS * 1000,
    async release() {
      clearInterval(timer);
      await renewing;
      await sql
        .query("UPDATE cell.migration_lock SET until = now() WHERE id = 1 AND holder = $1", [holder])
        .catch(() => undefined);
    },
  };
}

/** Two processes that make the same thing at once may collide although both say IF NOT EXISTS; it is there then. */
async function ignoreRace(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code !== "23505" && code !== "42P06" && code !== "42P07") throw error;
  }
}
