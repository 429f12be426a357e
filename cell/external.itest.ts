import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../platform/sql.ts";
import { sqlState } from "../platform/sqlstate.ts";
import { eventually, testStores } from "../platform/testing/stores.ts";
import { fenceCommand, provisionCommand } from "./provision.ts";

/** Cells on one server that somebody else runs: one database and one set of roles each. */
const suffix = randomBytes(3).toString("hex");
const dir = mkdtempSync(join(tmpdir(), "external-"));
const log = createLogger({ service: "test", level: "silent" });
const metrics = createMetrics({ service: "test" });
const administrator = { name: `dba_${suffix}`, password: "dba-password" };
const opened: Sql[] = [];
const made: string[] = [];
let root: Sql;

const rolesOf = (cell: string) => `cell_${cell.replaceAll("-", "_")}`;
const EAST = `east-${suffix}`;
const WEST = `west-${suffix}`;

function environment(cell: string, change: Record<string, string | undefined> = {}) {
  const server = new URL(testStores().databaseUrl);
  const admin = new URL(server.href);
  admin.username = administrator.name;
  admin.password = administrator.password;
  return {
    CELL: cell,
    CELL_EPOCH: "5",
    DATABASE_ADMIN_URL: admin.href,
    DATABASE_ADMIN_SECRET: "shared-server",
    DATABASE_HOST: server.hostname,
    DATABASE_PORT: server.port,
    DATABASE_NAME: rolesOf(cell),
    DATABASE_OWNER: rolesOf(cell),
    DATABASE_OWNER_PASSWORD: `owner-of-${cell}`,
    DATABASE_ROLE_PREFIX: `${rolesOf(cell)}_`,
    DATABASE_WAIT_SECONDS: "1",
    KAFKA_BROKERS: testStores().kafkaBrokers,
    TERMINATION_LOG: join(dir, cell),
    LOG_LEVEL: "silent",
    ...Object.fromEntries(
      SLICE_NAMES.map((slice) => [`DATABASE_PASSWORD_${slice.toUpperCase()}`, `${slice}-of-${cell}`]),
    ),
    ...change,
  };
}
const lastWords = (cell: string) => JSON.parse(readFileSync(join(dir, cell), "utf8")) as object;

function open(user: string, password: string, database: string, epoch?: number): Sql {
  const server = parseDatabaseUrl(testStores().databaseUrl);
  const sql = createSql({
    ...server,
    ...{ user, password, database, epoch, log, metrics, applicationName: "test", max: 1 },
  });
  opened.push(sql);
  return sql;
}
const asSlice = (cell: string, slice: SliceName, database = rolesOf(cell), epoch?: number) =>
  open(`${rolesOf(cell)}_${slice}`, `${slice}-of-${cell}`, database, epoch);
const stateOf = (work: Promise<unknown>) =>
  work.then(
    () => "ok",
    (error: unknown) => sqlState(error) ?? String(error),
  );
const namesLike = async (table: string, column: string) =>
  (
    await root.query<{ name: string }>(
      `SELECT ${column} AS name FROM ${table} WHERE ${column} LIKE $1 ORDER BY 1`,
      [`%${suffix}%`],
    )
  ).map(({ name }) => name);

beforeAll(async () => {
  const server = parseDatabaseUrl(testStores().databaseUrl);
  root = createSql({ ...server, log, metrics, applicationName: "test", max: 1 });
  const { name, password } = administrator;
  // No superuser: what the documents ask of an administrator's role is all that it has.
  await root.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}' CREATEDB CREATEROLE`);
  for (const cell of [EAST, WEST]) expect(await provisionCommand(environment(cell), false)).toBe(0);
});
afterAll(async () => {
  // Takes the topics away too.
  for (const cell of [WEST, ...made]) await provisionCommand(environment(cell), true);
  await Promise.all(opened.map((sql) => sql.close()));
  for (const name of await namesLike("pg_database", "datname"))
    await root.query(`DROP DATABASE "${name}" WITH (FORCE)`);
  for (const name of await namesLike("pg_roles", "rolname")) await root.query(`DROP ROLE ${name}`);
  await root.close();
  rmSync(dir, { recursive: true, force: true });
});

const SESSION_ENDED = "57P01";

describe("two cells on one server", () => {
  it("have a database and roles of their own, and the administrator owns nothing", async () => {
    expect(await namesLike("pg_database", "datname")).toEqual([rolesOf(EAST), rolesOf(WEST)]);
    expect(await namesLike("pg_roles", "rolname")).toHaveLength(2 * (SLICE_NAMES.length + 1) + 1);
    const owners = await open(rolesOf(EAST), `owner-of-${EAST}`, rolesOf(EAST)).query(
      "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('cell', 'orders', 'inventory')",
    );
    expect(owners).toEqual([{ tableowner: rolesOf(EAST) }]);
  });

  it("let each slice into its own schema of its own database, and nowhere else", async () => {
    const seen: Record<string, string> = {};
    for (const slice of SLICE_NAMES) {
      const own = asSlice(EAST, slice, rolesOf(EAST), 5);
      const outbox = `INSERT INTO ${slice}.outbox (type, subject, version, data) VALUES ('t', 's', 1, '{}')`;
      const sibling = slice === "orders" ? "payments" : "orders";
      seen[slice] = [
        await stateOf(own.transaction((tx) => tx.query(outbox))),
        await stateOf(own.query(`SELECT 1 FROM ${sibling}.outbox`)),
        await stateOf(asSlice(EAST, slice, rolesOf(WEST)).query("SELECT 1")),
      ].join(" ");
    }
    expect(seen).toEqual(Object.fromEntries(SLICE_NAMES.map((slice) => [slice, "ok 42501 42501"])));
  });

  it("keep the owner of one out of the other", async () => {
    const stranger = open(rolesOf(EAST), `owner-of-${EAST}`, rolesOf(WEST));
    expect(await stateOf(stranger.query("SELECT 1"))).toBe("42501");
  });

  it("may be provisioned again", async () => {
    expect(await provisionCommand(environment(EAST), false)).toBe(0);
    expect(lastWords(EAST)).toMatchObject({ ok: true, epoch: 5 });
  });

  it("are fenced one by one", async () => {
    const east = asSlice(EAST, "orders", rolesOf(EAST), 5);
    const west = asSlice(WEST, "orders", rolesOf(WEST), 5);
    const session = "SELECT pg_backend_pid() AS pid";
    const before = [await east.query(session), await west.query(session)];
    expect(await fenceCommand(environment(EAST), 9)).toBe(0);
    expect(await west.query(session)).toEqual(before[1]);
    const states: string[] = [];
    await eventually(async () => {
      states.push(await stateOf(east.transaction((tx) => tx.query("SELECT 1"))));
      return states.at(-1) !== SESSION_ENDED;
    });
    // Whoever asks on the old session before the word of its end was read is told that.
    expect(states.filter((state) => state !== SESSION_ENDED)).toEqual([
      expect.stringContaining("epoch 5 is not in force"),
    ]);
    expect(await east.query(session)).not.toEqual(before[0]);
  });
});

it("a new password of the owner is in force after the first Job that has it, whichever that is", async () => {
  const cell = `turn-${suffix}`;
  made.push(cell);
  expect(await provisionCommand(environment(cell), false)).toBe(0);
  const renewed = { DATABASE_OWNER_PASSWORD: `new-owner-of-${cell}` };
  const asOwner = (password: string) =>
    stateOf(open(rolesOf(cell), password, rolesOf(cell)).query("SELECT 1"));
  expect(await asOwner(renewed.DATABASE_OWNER_PASSWORD)).toBe("28P01");
  // It logs in as the owner alone.
  expect(await fenceCommand(environment(cell, renewed), 9)).toBe(0);
  expect(await asOwner(renewed.DATABASE_OWNER_PASSWORD)).toBe("ok");
  expect(await asOwner(`owner-of-${cell}`)).toBe("28P01");
  const without = environment(cell, { DATABASE_OWNER_PASSWORD: "third", DATABASE_ADMIN_URL: undefined });
  expect(await fenceCommand(without, 10)).toBe(1);
  expect(lastWords(cell)).toMatchObject({ reason: "AdminSecretMissing" });
});

describe("what the Job says when it cannot", () => {
  const refusal = async (cell: string, change: Record<string, string | undefined>) => {
    expect(await provisionCommand(environment(cell, change), false)).toBe(1);
    return lastWords(cell);
  };

  it("without an administrator's URL", async () => {
    expect(await refusal(`south-${suffix}`, { DATABASE_ADMIN_URL: undefined })).toMatchObject({
      reason: "AdminSecretMissing",
      message: expect.stringContaining("Secret shared-server has no key admin-url"),
    });
  });

  it("when nobody answers", async () => {
    const url = `postgres://${administrator.name}:x@127.0.0.1:1/postgres`;
    expect(await refusal(`south-${suffix}`, { DATABASE_ADMIN_URL: url })).toMatchObject({
      reason: "DatabaseUnreachable",
    });
  });

  it("when the password is wrong", async () => {
    const url = new URL(environment(EAST).DATABASE_ADMIN_URL);
    url.password = "another";
    expect(await refusal(`south-${suffix}`, { DATABASE_ADMIN_URL: url.href })).toMatchObject({
      reason: "DatabaseLoginRefused",
    });
  });

  it("when the server speaks no TLS and the cell wants it", async () => {
    expect(await refusal(`south-${suffix}`, { DATABASE_TLS: "VerifyFull" })).toMatchObject({
      reason: "DatabaseUnreachable",
      message: expect.stringContaining("does not support SSL"),
    });
  });

  it.each(["NOCREATEDB", "NOCREATEROLE"])("while its role is %s, and goes on once it may", async (lack) => {
    const cell = `north-${lack.toLowerCase()}-${suffix}`;
    const { name } = administrator;
    await root.query(`ALTER ROLE ${name} ${lack}`);
    try {
      expect(await refusal(cell, {})).toMatchObject({
        reason: "DatabasePermissionDenied",
        message: expect.stringContaining(`role ${name} needs the rights CREATEDB and CREATEROLE`),
      });
    } finally {
      await root.query(`ALTER ROLE ${name} ${lack.slice(2)}`);
    }
    made.push(cell);
    expect(await provisionCommand(environment(cell), false)).toBe(0);
  });

  it("when the database is another cell's, which notices nothing", async () => {
    const said = await refusal(`south-${suffix}`, { DATABASE_NAME: rolesOf(WEST) });
    expect(said).toMatchObject({ reason: "DatabaseTaken" });
    expect(await stateOf(asSlice(WEST, "orders", rolesOf(WEST), 5).query("SELECT 1"))).toBe("ok");
  });
});

it("a removal takes the database and the roles of one cell only, and may be repeated", async () => {
  // Somebody still looks: that keeps no database.
  await asSlice(EAST, "orders").query("SELECT 1");
  for (const _time of [1, 2]) expect(await provisionCommand(environment(EAST), true)).toBe(0);
  expect(await namesLike("pg_database", "datname")).not.toContain(rolesOf(EAST));
  expect((await namesLike("pg_roles", "rolname")).filter((name) => name.startsWith(rolesOf(EAST)))).toEqual(
    [],
  );
  expect(await stateOf(asSlice(WEST, "orders", rolesOf(WEST), 5).query("SELECT 1"))).toBe("ok");
});
