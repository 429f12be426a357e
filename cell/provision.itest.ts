import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePorts } from "../local/ports.ts";
import { createLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../platform/sql.ts";
import { testStores } from "../platform/testing/stores.ts";
import { startCellProcess } from "./testing/process.ts";

/** The Job as a process of its own: what it says it says by ending, so how soon it ends is how soon anybody knows. */
const center = `provision-${randomBytes(3).toString("hex")}`;
const database = center.replaceAll("-", "_");
const dir = mkdtempSync(join(tmpdir(), "provision-"));
const log = createLogger({ service: "test", level: "silent" });
const open: Socket[] = [];
let admin: Sql;
let shard: Sql;
let silent: Server;
let silentPort: number;
let closedPort: number;

beforeAll(async () => {
  const common = { applicationName: "test", log, metrics: createMetrics({ service: "test" }), max: 1 };
  const server = parseDatabaseUrl(testStores().databaseUrl);
  admin = createSql({ ...server, ...common });
  await admin.query(`CREATE DATABASE ${database}`);
  shard = createSql({ ...server, ...common, database });
  silent = createServer((socket) => void open.push(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  silentPort = (silent.address() as { port: number }).port;
  [closedPort = 0] = await freePorts(1);
});
afterAll(async () => {
  for (const socket of open) socket.destroy();
  silent?.close();
  await run("provision", testStores().kafkaBrokers, ["--remove"]);
  await shard?.close();
  await admin?.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  for (const slice of SLICE_NAMES) await admin?.query(`DROP ROLE IF EXISTS ${slice}`).catch(() => undefined);
  await admin?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Ten times what is promised: a machine that is busy with other things fails no run. */
const LIVENESS_MS = 60_000;

async function run(role: string, brokers: string, words: string[] = []) {
  const from = performance.now();
  const job = startCellProcess(
    role,
    {
      CELL: center,
      CELL_EPOCH: "5",
      REGION: "kr-test",
      DATABASE_ADMIN_URL: testStores().databaseUrl.replace(/\/[^/]*$/, `/${database}`),
      KAFKA_BROKERS: brokers,
      TERMINATION_LOG: join(dir, "words"),
      LOG_LEVEL: "silent",
      ...Object.fromEntries(
        SLICE_NAMES.map((slice) => [`DATABASE_PASSWORD_${slice.toUpperCase()}`, `pw-${slice}`]),
      ),
    },
    words,
  );
  const code = await job.exited;
  const tookMs = performance.now() - from;
  expect(job.stderr()).toBe("");
  await job.stop();
  return { code, tookMs, words: JSON.parse(readFileSync(join(dir, "words"), "utf8")) as unknown };
}

describe("a provision Job that does not reach Kafka", () => {
  it.each([
    ["nobody listens", () => closedPort, "ECONNREFUSED"],
    ["a broker takes connections and says nothing", () => silentPort, "timed out"],
  ])("says so within seconds when %s, and has changed nothing", async (what, port, why) => {
    const brokers = `127.0.0.1:${port()}`;
    const { code, tookMs, words } = await run("provision", brokers);
    console.log(`${what}: said after ${(tookMs / 1000).toFixed(1)} s, load ${loadavg()[0]?.toFixed(1)}`);
    expect([code, words]).toEqual([
      1,
      {
        ok: false,
        reason: "KafkaUnreachable",
        message: expect.stringMatching(
          new RegExp(`^No broker of ${brokers} answered within 3 seconds: .*${why}`),
        ),
      },
    ]);
    expect(tookMs).toBeLessThan(LIVENESS_MS);
    const tables = "SELECT count(*)::int AS made FROM pg_tables WHERE schemaname IN ('cell', 'orders')";
    expect(await shard.query(tables)).toEqual([{ made: 0 }]);
  });

  it("is not held up by one broker of several, and repeated it makes the topics", async () => {
    const brokers = `127.0.0.1:${silentPort},127.0.0.1:${closedPort},${testStores().kafkaBrokers}`;
    expect(await run("provision", brokers)).toMatchObject({ code: 0, words: { ok: true, epoch: 5 } });
  });

  it("says it of a removal too", async () => {
    const { code, words } = await run("provision", `127.0.0.1:${closedPort}`, ["--remove"]);
    expect([code, words]).toMatchObject([1, { ok: false, reason: "KafkaUnreachable" }]);
  });
});
