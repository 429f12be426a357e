import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ProcessRecord, startProcess, stopProcess } from "../local/cluster/process.ts";
import { freePorts } from "../local/ports.ts";
import { POSTGRES_USER, postgresAnswers, preparePostgres } from "../local/stores/postgres.ts";
import { cellKeyFile, numbered } from "../platform/credentials.ts";
import { newUuid } from "../platform/ids.ts";
import { silentLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { createRedis } from "../platform/redis.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { createSql } from "../platform/sql.ts";
import { startTestCell, type TestCell } from "../platform/testing/cell.ts";
import { eventually } from "../platform/testing/stores.ts";
import { createSigner, generateKey, type PublicKeys } from "../platform/trust.ts";
import { startTestPsp, type TestPsp } from "../region/psp-sandbox/testing/psp.ts";
import { provisionCommand, retireCommand } from "./provision.ts";
import { type CellProcess, startCellProcess } from "./testing/process.ts";

/** Stores of its own: roles and the users of Redis belong to a whole server. */
const dir = mkdtempSync(join(tmpdir(), "rotation-"));
// PostgreSQL runs as another user.
chmodSync(dir, 0o755);
const usersFile = join(dir, "users.acl");
const LIVENESS_MS = 60_000;
const ROLES = ["inventory", "payments", "orders", "fulfillment"].join(",");
const LAG_MS = 3_000;

const saved = { ...process.env };
const records: ProcessRecord[] = [];
let cell: TestCell;
let psp: TestPsp;
let serving: { process: CellProcess; urls: Record<SliceName, string> };

const cachePassword = (generation: number) => `cache-${generation}`;
const adminPassword = (generation: number) => `boss-${generation}`;
const admit = (...generations: number[]) =>
  writeFileSync(
    usersFile,
    `user default on ~* &* +@all ${generations.map((n) => `>${cachePassword(n)}`).join(" ")}\n`,
  );
const cacheUrl = (port: number, generation: number) =>
  `redis://:${cachePassword(generation)}@127.0.0.1:${port}`;

let databasePort = 0;
let cachePort = 0;

beforeAll(async () => {
  [databasePort = 0, cachePort = 0] = await freePorts(2);
  const postgres = { dir: join(dir, "postgres"), port: databasePort, password: "root", fsync: false };
  records.push(await startProcess(await preparePostgres(postgres)));
  admit(0);
  const flags = [
    "--bind",
    "127.0.0.1",
    "--port",
    String(cachePort),
    "--dir",
    dir,
    "--save",
    "",
    "--maxmemory-policy",
    "noeviction",
  ];
  records.push(
    await startProcess({
      name: "redis",
      argv: ["redis-server", ...flags, "--aclfile", usersFile],
      logPath: join(dir, "redis.log"),
    }),
  );
  await eventually(() => postgresAnswers(databasePort, "root"), LIVENESS_MS);
  process.env.TEST_DATABASE_URL = `postgres://${POSTGRES_USER}:root@127.0.0.1:${databasePort}/postgres`;
  process.env.TEST_REDIS_URL = cacheUrl(cachePort, 0);
  psp = await startTestPsp();
  cell = await startTestCell({ slices: [], env: { PSP_URL: psp.url } });
  await cell.sql.query(`CREATE ROLE boss SUPERUSER LOGIN PASSWORD '${adminPassword(0)}'`);
  await publishKeys();
  serving = await start(0);
  await fill();
});
afterAll(async () => {
  await serving?.process.stop();
  await cell?.stop();
  await psp?.stop();
  for (const record of records.reverse()) await stopProcess(record);
  process.env = saved;
  rmSync(dir, { recursive: true, force: true });
});

/** Public halves are known one generation ahead, as the operator lists them. */
async function publishKeys(): Promise<void> {
  const file = join(cell.trustDir, "jwks.json");
  const { keys } = JSON.parse(readFileSync(file, "utf8")) as PublicKeys;
  for (const generation of [1, 2]) {
    const { privateJwk, publicJwk } = await generateKey();
    writeFileSync(join(cell.trustDir, cellKeyFile(generation)), JSON.stringify(privateJwk));
    keys.push(publicJwk);
  }
  writeFileSync(file, JSON.stringify({ keys }));
}

function environment(generation: number): Record<string, string> {
  const passwords = SLICE_NAMES.map((slice) => [
    `DATABASE_PASSWORD_${slice.toUpperCase()}`,
    generation === 0
      ? (cell.env[`DATABASE_PASSWORD_${slice.toUpperCase()}`] ?? "")
      : numbered(slice, generation),
  ]);
  return {
    ...cell.env,
    ...Object.fromEntries(passwords),
    CREDENTIALS_GENERATION: String(generation),
    REDIS_URL: cacheUrl(cachePort, generation),
  };
}

function jobEnvironment(generation: number): Record<string, string> {
  const boss = (n: number) =>
    `postgres://boss:${adminPassword(n)}@127.0.0.1:${databasePort}/${cell.env.DATABASE_NAME}`;
  return {
    ...environment(generation),
    DATABASE_ADMIN_URL: boss(generation),
    DATABASE_ADMIN_PASSWORD_BEFORE: adminPassword(generation - 1),
    REDIS_URL_BEFORE: cacheUrl(cachePort, generation - 1),
    TERMINATION_LOG: join(dir, `job-${generation}`),
  };
}

async function start(generation: number) {
  const ports = await freePorts(SLICE_NAMES.length);
  const urls = Object.fromEntries(
    SLICE_NAMES.map((slice, index) => [slice, `http://127.0.0.1:${ports[index]}`]),
  ) as Record<SliceName, string>;
  const env = environment(generation);
  SLICE_NAMES.forEach((slice, index) => {
    env[`PORT_${slice.toUpperCase()}`] = String(ports[index]);
    env[`URL_${slice.toUpperCase()}`] = urls[slice];
  });
  const process = startCellProcess(ROLES, env);
  await eventually(async () => (await fetch(`${urls.orders}/readyz`)).ok, LIVENESS_MS, 100);
  return { process, urls };
}

/** "accepted", or the status with what the answer says about it. */
async function post(slice: SliceName, role: string, path: string, body: object): Promise<string> {
  const jwk = JSON.parse(readFileSync(join(cell.trustDir, cellKeyFile(0)), "utf8"));
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  const response = await fetch(`${serving.urls[slice]}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await signer.token(cell.center)}`,
      "content-type": "application/json",
      "idempotency-key": newUuid(),
      "x-cells-user": `u-${role}`,
      "x-cells-roles": role,
    },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { code?: string; detail?: string };
  return response.ok ? "accepted" : `${response.status} ${answer.code}: ${answer.detail}`;
}

async function fill(): Promise<void> {
  const sku = { sku: "s", barcode: "b-s", name: "s", weightGrams: 500, temperature: "ambient" };
  const line = { sku: "s", bin: { aisle: 1, position: 1, level: 0 }, quantity: 5_000 };
  expect(await post("inventory", "staff", "/v1/skus", { skus: [sku] })).toBe("accepted");
  expect(await post("inventory", "staff", "/v1/receipts", { receiptId: newUuid(), lines: [line] })).toBe(
    "accepted",
  );
  const price = { sku: "s", price: { amountMinor: 1_000, currency: "KRW" } };
  expect(await post("orders", "staff", "/v1/prices", { prices: [price] })).toBe("accepted");
}

const order = () =>
  post("orders", "customer", "/v1/orders", {
    deliverTo: { latitude: 37.51, longitude: 127.04 },
    contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
    lines: [{ sku: "s", quantity: 1 }],
    payment: { method: "tok_visa" },
  });

/** Orders at a steady rate, whatever becomes of the ones before; none is repeated. */
function startLoad() {
  const sent: Promise<string>[] = [];
  const timer = setInterval(() => sent.push(order().catch(String)), 300);
  return async () => {
    clearInterval(timer);
    const answers = await Promise.all(sent);
    return { sent: answers.length, refused: answers.filter((status) => status !== "accepted") };
  };
}

const entersCache = async (generation: number) => {
  const redis = createRedis({ url: cacheUrl(cachePort, generation), log: silentLogger() });
  try {
    return await eventually(async () => redis.isReady(), 1_500).catch(() => false);
  } finally {
    await redis.close();
  }
};
const entersDatabase = async (user: string, password: string) => {
  const server = { host: "127.0.0.1", port: databasePort, database: cell.env.DATABASE_NAME ?? "" };
  const options = {
    applicationName: "test",
    log: silentLogger(),
    metrics: createMetrics({ service: "test" }),
  };
  const sql = createSql({ ...server, ...options, user, password });
  try {
    return await sql.query("SELECT 1").then(
      () => true,
      () => false,
    );
  } finally {
    await sql.close();
  }
};

/** The last words of a Job. */
async function runJob(purpose: "provision" | "retire", generation: number): Promise<unknown> {
  const env = jobEnvironment(generation);
  await (purpose === "provision" ? provisionCommand(env, false) : retireCommand(env));
  return JSON.parse(readFileSync(env.TERMINATION_LOG ?? "", "utf8"));
}

test("passwords and keys change twice under orders, and none of them fails", {
  timeout: 180_000,
}, async () => {
  const stopLoad = startLoad();
  for (const generation of [1, 2]) {
    // The file in the pod changes some time after the Secret.
    setTimeout(() => admit(generation - 1, generation), LAG_MS);
    expect(await runJob("provision", generation)).toEqual({ ok: true, epoch: 1, schema: expect.any(String) });
    const former = serving;
    serving = await start(generation);
    former.process.signal("SIGTERM");
    expect(await former.process.exited).toBe(0);
    await former.process.stop();
    setTimeout(() => admit(generation), LAG_MS);
    expect(await runJob("retire", generation)).toEqual({ ok: true, epoch: 1, schema: "" });
    expect(await entersCache(generation - 1)).toBe(false);
    expect(await entersCache(generation)).toBe(true);
    const role = (n: number) => (n % 2 === 0 ? "orders" : "orders_b");
    const word = (n: number) => environment(n).DATABASE_PASSWORD_ORDERS ?? "";
    expect(await entersDatabase(role(generation - 1), word(generation - 1))).toBe(false);
    expect(await entersDatabase(role(generation), word(generation))).toBe(true);
    expect(await entersDatabase("boss", adminPassword(generation - 1))).toBe(false);
    expect(await entersDatabase("boss", adminPassword(generation))).toBe(true);
  }
  const { sent, refused } = await stopLoad();
  console.log(`${sent} orders during two changes of credentials, ${refused.length} not accepted`);
  expect(refused).toEqual([]);
  expect(sent).toBeGreaterThan(20);
  const [row] = await cell.sql.query<{ count: string }>(
    "SELECT count(*) AS count FROM orders.orders WHERE state = 'confirmed'",
  );
  expect(Number(row?.count)).toBe(sent);
});
