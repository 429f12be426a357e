import { allMigrations } from "../../cell/provision.ts";
import { createLogger } from "../log.ts";
import { createMetrics } from "../metrics.ts";
import { prepareShard } from "../provision.ts";
import { SLICE_NAMES, type SliceName } from "../slices.ts";
import { createSql, parseDatabaseUrl, type Sql, type SqlOptions } from "../sql.ts";
import { testStores } from "./stores.ts";

/** A fresh database in the PostgreSQL of the test run. */
export interface TestShard {
  readonly name: string;
  /** URL of the superuser, this database. */
  readonly adminUrl: string;
  readonly password: string;
  /** The superuser; checks no epoch. */
  readonly admin: Sql;
  /** Another pool as the role of a slice, closed by `drop`. */
  as(slice: SliceName, options?: Partial<SqlOptions>): Sql;
  drop(): Promise<void>;
}

/** Of the slices' roles. Roles are the server's, so whoever provisions on the server of the test run gives them this one. */
export const ROLE_PASSWORD = "test-only";

let made = 0;

/** Makes an empty database; with an epoch it is provisioned as the shard of a cell. */
export async function createTestShard(epoch?: number): Promise<TestShard> {
  const name = `shard_${process.pid.toString(36)}_${(made++).toString(36)}_${Date.now().toString(36)}`;
  const { databaseUrl } = testStores();
  const url = new URL(databaseUrl);
  const log = createLogger({ service: "test", level: "silent" });
  const metrics = createMetrics({ service: "test" });
  const common = { applicationName: "test", log, metrics, statementTimeoutMs: 60_000 };
  const root = createSql({ ...parseDatabaseUrl(databaseUrl), ...common, max: 1 });
  await root.query(`CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  const admin = createSql({ ...parseDatabaseUrl(url.href), ...common, max: 4 });
  const password = ROLE_PASSWORD;
  const opened: Sql[] = [admin];
  if (epoch !== undefined) {
    const passwords = Object.fromEntries(SLICE_NAMES.map((slice) => [slice, password]));
    await prepareShard({ admin, passwords, migrations: await allMigrations(), epoch, holder: name });
  }
  return {
    name,
    adminUrl: url.href,
    password,
    admin,
    as(slice, options = {}) {
      const server = parseDatabaseUrl(url.href);
      const sql = createSql({ ...server, ...common, user: slice, password, epoch, max: 8, ...options });
      opened.push(sql);
      return sql;
    },
    async drop() {
      await Promise.all(opened.map((sql) => sql.close()));
      await root.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await root.close();
    },
  };
}
