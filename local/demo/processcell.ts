import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SLICE_NAMES, type SliceName } from "../../platform/slices.ts";
import { generateKey, type KeyPair } from "../../platform/trust.ts";
import { freePorts } from "../ports.ts";
import type { Center } from "./load.ts";
import { isHealthy, type Running, runProcess, startProcess, untilReady } from "./processes.ts";

export interface CellStores {
  /** Administrator's URL of this cell's own database. */
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly kafkaBrokers: string;
  readonly pspUrl: string;
  readonly password: string;
}

/** One Compact cell as a process. */
export interface ProcessCell {
  readonly center: Center;
  readonly epoch: number;
  readonly publicKey: string;
  readonly ports: Readonly<Record<SliceName, number>>;
  start(): Promise<void>;
  crash(): Promise<void>;
  isReady(): Promise<boolean>;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;

/** Provisions one cell: roles, schema, lease and topics, by the same command that the operator's Job runs. */
export async function prepareCell(options: {
  root: string;
  dir: string;
  center: Center;
  stores: CellStores;
  gatewayKey: KeyPair;
}): Promise<ProcessCell> {
  const { root, center, stores, gatewayKey } = options;
  const dir = join(options.dir, center.name);
  await mkdir(dir, { recursive: true });
  const key = await generateKey();
  await writeFile(join(dir, "cell-key.jwk"), JSON.stringify(key.privateJwk), { mode: 0o600 });
  await writeFile(join(dir, "jwks.json"), JSON.stringify({ keys: [key.publicJwk, gatewayKey.publicJwk] }));
  const numbers = await freePorts(SLICE_NAMES.length);
  const ports = Object.fromEntries(SLICE_NAMES.map((slice, index) => [slice, numbers[index]])) as Record<
    SliceName,
    number
  >;
  const epoch = Math.floor(Date.now() / 1000);
  const database = new URL(stores.databaseUrl);
  const env: Record<string, string> = {
    CELL: center.name,
    CELL_EPOCH: String(epoch),
    REGION: "local",
    DATABASE_ADMIN_URL: stores.databaseUrl,
    DATABASE_HOST: database.hostname,
    DATABASE_PORT: database.port,
    DATABASE_NAME: database.pathname.slice(1),
    REDIS_URL: stores.redisUrl,
    KAFKA_BROKERS: stores.kafkaBrokers,
    KAFKA_PARTITIONS: "3",
    KAFKA_REPLICAS: "1",
    PSP_URL: stores.pspUrl,
    TRUST_DIR: dir,
    BIND_HOST: "127.0.0.1",
    CENTER_LATITUDE: String(center.latitude),
    CENTER_LONGITUDE: String(center.longitude),
    TERMINATION_LOG: join(dir, "provision.json"),
    DRAIN_MS: "200",
  };
  for (const slice of SLICE_NAMES) {
    env[`DATABASE_PASSWORD_${slice.toUpperCase()}`] = stores.password;
    env[`PORT_${slice.toUpperCase()}`] = String(ports[slice]);
    env[`URL_${slice.toUpperCase()}`] = `http://127.0.0.1:${ports[slice]}`;
  }
  await runProcess({ name: "provision", root, dir, args: ["cell/main.ts", "provision"], env });
  let running: Running | undefined;
  let isStopped = false;
  const urls = SLICE_NAMES.map((slice) => `http://127.0.0.1:${ports[slice]}/readyz`);
  return {
    center,
    epoch,
    publicKey: JSON.stringify(key.publicJwk),
    ports,
    async start() {
      if (isStopped) return;
      running = startProcess({ name: "cell", root, dir, args: ["cell/main.ts", SLICE_NAMES.join(",")], env });
      await untilReady([running], urls, READY_TIMEOUT_MS);
    },
    async crash() {
      await running?.crash();
      running = undefined;
    },
    async isReady() {
      return running !== undefined && (await Promise.all(urls.map(isHealthy))).every(Boolean);
    },
    async stop() {
      isStopped = true;
      await running?.stop();
      running = undefined;
    },
  };
}
