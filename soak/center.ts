import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Running, runProcess, startProcess, untilReady } from "../local/demo/processes.ts";
import { freePorts } from "../local/ports.ts";
import { createLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../platform/sql.ts";
import { generateKey, type PrivateKey } from "../platform/trust.ts";
import type { Line } from "./check/history.ts";
import { type Relay, startRelay } from "./relay.ts";
import type { MortalStores } from "./stores.ts";

export const CENTER = "soak";
export const REPLICAS = ["a", "b"] as const;
export type ReplicaName = (typeof REPLICAS)[number];
/** What can be killed beside the stores. */
export type Mortal = ReplicaName | "processor";

/** One copy of the orders slice that is started to be killed. */
export interface Victim {
  readonly url: string;
  /** How it ended: true when it killed itself at its moment. */
  readonly died: Promise<boolean>;
  end(): Promise<void>;
}

/** A Compact cell with two replicas of every slice, and its payment processor, as processes. */
export interface SoakCenter {
  /** Where a slice answers, whichever replica is up. */
  url(slice: SliceName): string;
  readonly key: PrivateKey;
  /** The cell's database, and that of the processor, as their owner sees them. */
  readonly sql: Sql;
  readonly processorSql: Sql;
  /** Ends a replica, or the payment processor, at once, as a crash does. */
  kill(name: Mortal): Promise<void>;
  /** Starts it again; returns when it is ready. */
  revive(name: Mortal): Promise<void>;
  startVictim(moment: string, failsAt: number | undefined): Promise<Victim>;
  /** All that the processes have written down. */
  recordings(): Promise<Line[]>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, "..");
const READY_MS = 90_000;
const PASSWORD = "soak-only";

/** Provisions the cell and starts everything in it. What was begun is in `stops`, also when this throws. */
export async function startCenter(
  dir: string,
  stores: MortalStores,
  stops: (() => Promise<unknown>)[],
): Promise<SoakCenter> {
  await mkdir(dir, { recursive: true });
  const pair = await generateKey();
  const key = pair.privateJwk as PrivateKey;
  await writeFile(join(dir, "cell-key.jwk"), JSON.stringify(key), { mode: 0o600 });
  await writeFile(join(dir, "jwks.json"), JSON.stringify({ keys: [pair.publicJwk] }));
  const databases = await createDatabases(stores, stops);
  const [pspPort = 0, ...ports] = await freePorts(1 + SLICE_NAMES.length * REPLICAS.length);
  const relays = new Map<SliceName, Relay>();
  const portOf = (replica: number, slice: number) => ports[replica * SLICE_NAMES.length + slice] ?? 0;
  for (const [index, slice] of SLICE_NAMES.entries()) {
    const relay = await startRelay(REPLICAS.map((_name, replica) => portOf(replica, index)));
    relays.set(slice, relay);
    stops.push(() => relay.close());
  }
  const url = (slice: SliceName) => `http://127.0.0.1:${relays.get(slice)?.port}`;
  const processorUrl = `http://127.0.0.1:${pspPort}`;
  const env = environment(dir, stores, databases.cellUrl, processorUrl, url);
  await runProcess({ name: "provision", root: ROOT, dir, args: ["cell/main.ts", "provision"], env });

  const files: string[] = [];
  let started = 0;
  const start = (name: string, roles: string, more: Record<string, string>) => {
    const recordTo = join(dir, `calls-${name}-${started++}.jsonl`);
    files.push(recordTo);
    return startProcess({
      ...{ name, root: ROOT, dir, args: ["soak/cell.ts", roles] },
      env: { ...env, ...more, RECORD_TO: recordTo, PROCESS_NAME: name },
    });
  };
  const running = new Map<Mortal, Running>();
  stops.push(() => Promise.all([...running.values()].map((one) => one.stop())));
  const reviveProcessor = async () => {
    const started = startProcess({
      ...{ name: "processor", root: ROOT, dir, args: ["region/psp-sandbox/main.ts"] },
      env: {
        ...{ REGION_DATABASE_URL: databases.processorUrl, BIND_HOST: "127.0.0.1", PORT: String(pspPort) },
        LOG_LEVEL: "error",
      },
    });
    running.set("processor", started);
    await untilReady([started], [`${processorUrl}/readyz`], READY_MS);
  };
  const revive = async (name: Mortal) => {
    if (name === "processor") return reviveProcessor();
    const index = REPLICAS.indexOf(name);
    const own = SLICE_NAMES.map((slice, at) => [`PORT_${slice.toUpperCase()}`, String(portOf(index, at))]);
    const started = start(`cell-${name}`, SLICE_NAMES.join(","), Object.fromEntries(own));
    running.set(name, started);
    const urls = SLICE_NAMES.map((_slice, at) => `http://127.0.0.1:${portOf(index, at)}/readyz`);
    await untilReady([started], urls, READY_MS);
  };
  await Promise.all(["processor" as const, ...REPLICAS].map(revive));

  return {
    ...{ url, key, sql: databases.sql, processorSql: databases.processorSql, revive },
    async kill(name) {
      await running.get(name)?.crash();
      running.delete(name);
    },
    startVictim: (moment, failsAt) => startVictim({ moment, failsAt, start, stops }),
    async recordings() {
      const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
      return texts.flatMap(linesOf);
    },
    async stop() {
      for (const stop of stops.splice(0).reverse()) await stop().catch(() => undefined);
    },
  };
}

/** Whole lines only: a process may have been killed in the middle of one. */
function linesOf(text: string): Line[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

async function startVictim(options: {
  readonly moment: string;
  readonly failsAt: number | undefined;
  start(name: string, roles: string, more: Record<string, string>): Running;
  readonly stops: (() => Promise<unknown>)[];
}): Promise<Victim> {
  const [port = 0] = await freePorts(1);
  const { moment, failsAt } = options;
  const running = options.start("victim", "orders", {
    ...{ PORT_ORDERS: String(port), DIE_AT: moment },
    ...(failsAt === undefined ? {} : { FAIL_AT: String(failsAt) }),
  });
  const end = () => running.crash();
  options.stops.push(end);
  const url = `http://127.0.0.1:${port}`;
  await untilReady([running], [`${url}/readyz`], READY_MS).catch(async (error) => {
    await end();
    throw error;
  });
  let ended = false;
  const died = running.ended.then((signal) => !ended && signal === "SIGKILL");
  return {
    ...{ url, died },
    async end() {
      ended = true;
      await end();
      options.stops.splice(options.stops.indexOf(end), 1);
    },
  };
}

async function createDatabases(stores: MortalStores, stops: (() => Promise<unknown>)[]) {
  const about = { applicationName: "soak", log: createLogger({ service: "soak", level: "silent" }) };
  const metrics = createMetrics({ service: "soak" });
  const open = (url: string, max: number) => {
    const sql = createSql({ ...parseDatabaseUrl(url), ...about, metrics, max, statementTimeoutMs: 60_000 });
    stops.push(() => sql.close());
    return sql;
  };
  const admin = open(stores.databaseUrl, 1);
  const create = async (name: string) => {
    await admin.query(`CREATE DATABASE ${name}`);
    const url = new URL(stores.databaseUrl);
    url.pathname = `/${name}`;
    return url.href;
  };
  const [cellUrl, processorUrl] = [await create("cell"), await create("processor")];
  return { cellUrl, processorUrl, sql: open(cellUrl, 3), processorSql: open(processorUrl, 1) };
}

function environment(
  dir: string,
  stores: MortalStores,
  databaseUrl: string,
  processorUrl: string,
  url: (slice: SliceName) => string,
): Record<string, string> {
  const database = new URL(databaseUrl);
  const env: Record<string, string> = {
    ...{ CELL: CENTER, CELL_EPOCH: "1", REGION: "local", DATABASE_ADMIN_URL: databaseUrl },
    ...{ DATABASE_HOST: database.hostname, DATABASE_PORT: database.port },
    ...{ DATABASE_NAME: database.pathname.slice(1), DATABASE_POOL: "8" },
    ...{ REDIS_URL: stores.redisUrl, KAFKA_BROKERS: stores.kafkaBrokers },
    ...{ KAFKA_PARTITIONS: "3", KAFKA_REPLICAS: "1", PSP_URL: processorUrl, TRUST_DIR: dir },
    ...{ BIND_HOST: "127.0.0.1", CENTER_LATITUDE: "37.5", CENTER_LONGITUDE: "127.03", DRAIN_MS: "100" },
    ...{ MAX_ORDERS_PER_MINUTE: "1000000", COURIER_OFFLINE_SECONDS: "86400", HOLD_TTL_SECONDS: "30" },
    ...{ TERMINATION_LOG: join(dir, "provision.json"), LOG_LEVEL: "error" },
    // As the image sets it: dozens of copies are started while the load lasts.
    NODE_COMPILE_CACHE: join(dir, "compile-cache"),
  };
  for (const slice of SLICE_NAMES) {
    env[`DATABASE_PASSWORD_${slice.toUpperCase()}`] = PASSWORD;
    env[`URL_${slice.toUpperCase()}`] = url(slice);
  }
  return env;
}
