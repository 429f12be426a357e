import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fenceCommand, provisionCommand } from "../../cell/provision.ts";
import { createLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../../platform/sql.ts";
import { ROLE_PASSWORD } from "../../platform/testing/shard.ts";
import { parseProvisionResult } from "./provision-result.ts";

const url = process.env.TEST_DATABASE_URL ?? "";
const database = `jobs_${randomBytes(4).toString("hex")}`;
const dir = mkdtempSync(join(tmpdir(), "provision-result-"));
const log = createLogger({ service: "test", level: "silent" });
let admin: Sql;

beforeAll(async () => {
  if (url === "") throw new Error("set TEST_DATABASE_URL to a PostgreSQL for tests");
  admin = createSql({
    ...parseDatabaseUrl(url),
    ...{ applicationName: "test", log, metrics: createMetrics({ service: "test" }), max: 1 },
  });
  await admin.query(`CREATE DATABASE ${database}`);
});
afterAll(async () => {
  await admin?.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await admin?.close();
  rmSync(dir, { recursive: true, force: true });
});

const environment = (epoch: number) => ({
  CELL: "job-test",
  CELL_EPOCH: String(epoch),
  REGION: "kr-test",
  DATABASE_ADMIN_URL: url.replace(/\/[^/]*$/, `/${database}`),
  // A Job that is refused for its epoch never comes as far as Kafka.
  KAFKA_BROKERS: "127.0.0.1:1",
  TERMINATION_LOG: join(dir, "termination-log"),
  LOG_LEVEL: "silent",
  ...Object.fromEntries(
    SLICE_NAMES.map((slice) => [`DATABASE_PASSWORD_${slice.toUpperCase()}`, ROLE_PASSWORD]),
  ),
});
const lastWords = () => parseProvisionResult(readFileSync(join(dir, "termination-log"), "utf8"));

it("a Job that comes with an older epoch names the one in force, so that the operator can go beyond it", async () => {
  // The lease row is made by the first Job; a fence then puts a newer epoch in force.
  const first = provisionCommand(
    { ...environment(5), KAFKA_BROKERS: process.env.TEST_KAFKA_BROKERS ?? "" },
    false,
  );
  expect(await first).toBe(0);
  expect(lastWords()).toMatchObject({ ok: true, epoch: 5 });
  expect(await fenceCommand(environment(9), 9)).toBe(0);
  expect(lastWords()).toMatchObject({ ok: true, epoch: 9 });

  expect(await provisionCommand(environment(7), false)).toBe(1);
  expect(lastWords()).toMatchObject({ ok: false, reason: "EpochOlder", epoch: 9 });
  expect(await fenceCommand(environment(8), 8)).toBe(1);
  expect(lastWords()).toMatchObject({ ok: false, reason: "EpochOlder", epoch: 9 });

  const topics = { ...environment(5), KAFKA_BROKERS: process.env.TEST_KAFKA_BROKERS ?? "" };
  expect(await provisionCommand(topics, true)).toBe(0);
});
