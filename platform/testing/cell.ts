import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningSlice, type Shared, startSlice } from "../../cell/host.ts";
import { allMigrations, topicsOf } from "../../cell/provision.ts";
import { freePorts } from "../../local/ports.ts";
import { createServiceClient, type ServiceClient } from "../fetch.ts";
import type { Role } from "../http.ts";
import { newUuid } from "../ids.ts";
import { createKafka, type KafkaOptions } from "../kafka.ts";
import { createLogger } from "../log.ts";
import { createMetrics } from "../metrics.ts";
import { prepareShard } from "../provision.ts";
import { createRedis } from "../redis.ts";
import { cellEnvSchema, type SliceDefinition } from "../slice.ts";
import { SLICE_NAMES, type SliceName } from "../slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../sql.ts";
import { createSigner, generateKey, type PublicKeys } from "../trust.ts";
import { ROLE_PASSWORD } from "./shard.ts";
import { testStores } from "./stores.ts";

export interface TestCell {
  readonly center: string;
  readonly sql: Sql;
  /** Where cell-key.jwk and jwks.json are. */
  readonly trustDir: string;
  /** The environment that a child process needs to join this cell. */
  readonly env: Readonly<Record<string, string>>;
  readonly publicKeys: PublicKeys;
  url(slice: SliceName): string;
  running(slice: SliceName): RunningSlice;
  /** Calls a slice as the gateway does for a user. */
  as(user: string, ...roles: Role[]): Record<SliceName, ServiceClient>;
  /** Calls a slice as another slice does. */
  readonly internal: Record<SliceName, ServiceClient>;
  /** A token as the gateway has one, for requests that no client can make. */
  gatewayToken(): Promise<string>;
  /** Stops one slice (with grace) or starts it again on the same port. */
  stopSlice(slice: SliceName): Promise<void>;
  startSlice(slice: SliceName): Promise<void>;
  stop(): Promise<void>;
}

export interface TestCellOptions {
  readonly slices: readonly SliceDefinition[];
  readonly center?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Who consumes whom for the way around Kafka; default: nobody. */
  readonly consumers?: ReadonlyMap<SliceName, readonly SliceName[]>;
  /** Of each topic; default 1. */
  readonly partitions?: number;
  /** How the slices reach Kafka; default: directly. */
  readonly dialKafka?: NonNullable<KafkaOptions["dial"]>;
}

let made = 0;

/**
 * Makes a whole cell in this process: a fresh database in the real PostgreSQL of the test run, its own keys in Redis, its own
 * topics, the given slices on free ports.
 */
export async function startTestCell(options: TestCellOptions): Promise<TestCell> {
  const stores = testStores();
  const suffix = `${process.pid.toString(36)}${(made++).toString(36)}${Date.now().toString(36).slice(-5)}`;
  const center = options.center ?? `t-${suffix}`;
  const database = `cell_${suffix}`;
  const log = createLogger({ service: "test", level: "silent" });
  const metrics = createMetrics({ service: "test" });
  const server = parseDatabaseUrl(stores.databaseUrl);
  const open = (name: string) =>
    createSql({
      ...server,
      database: name,
      applicationName: "test",
      log,
      metrics,
      max: 4,
      statementTimeoutMs: 60_000,
    });

  const root = open(server.database);
  await root.query(`CREATE DATABASE ${database}`);
  const sql = open(database);
  const passwords = Object.fromEntries(SLICE_NAMES.map((slice) => [slice, ROLE_PASSWORD]));
  await prepareShard({ admin: sql, passwords, migrations: await allMigrations(), epoch: 1, holder: suffix });

  const trustDir = await mkdtemp(join(tmpdir(), "trust-"));
  const cellKey = await generateKey();
  const gatewayKey = await generateKey();
  const publicKeys = { keys: [cellKey.publicJwk, gatewayKey.publicJwk] } as PublicKeys;
  await writeFile(join(trustDir, "cell-key.jwk"), JSON.stringify(cellKey.privateJwk));
  await writeFile(join(trustDir, "jwks.json"), JSON.stringify(publicKeys));

  const ports = await freePorts(SLICE_NAMES.length);
  const raw: Record<string, string> = {
    CELL: center,
    CELL_EPOCH: "1",
    DATABASE_HOST: server.host,
    DATABASE_PORT: String(server.port),
    DATABASE_NAME: database,
    DATABASE_POOL: "6",
    REDIS_URL: stores.redisUrl,
    KAFKA_BROKERS: stores.kafkaBrokers,
    TRUST_DIR: trustDir,
    BIND_HOST: "127.0.0.1",
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? "silent",
    ...options.env,
  };
  SLICE_NAMES.forEach((slice, index) => {
    raw[`DATABASE_PASSWORD_${slice.toUpperCase()}`] = ROLE_PASSWORD;
    raw[`PORT_${slice.toUpperCase()}`] = String(ports[index]);
    raw[`URL_${slice.toUpperCase()}`] = `http://127.0.0.1:${ports[index]}`;
  });
  const env = cellEnvSchema.parse(raw);
  const kafka = createKafka({
    brokers: env.KAFKA_BROKERS.split(","),
    clientId: center,
    log,
    ...(options.dialKafka ? { dial: options.dialKafka } : {}),
  });
  await kafka.ensureTopics(topicsOf(center), {
    partitions: options.partitions ?? 1,
    replicas: 1,
    retentionHours: 1,
  });
  const redis = createRedis({ url: env.REDIS_URL, log });
  const shared: Shared = { env, raw, redis, kafka };
  const running = new Map<SliceName, RunningSlice>();
  const definitions = new Map(options.slices.map((definition) => [definition.name, definition]));
  const start = async (name: SliceName) => {
    const definition = definitions.get(name);
    if (!definition) throw new Error(`the test cell has no slice ${name}`);
    running.set(name, await startSlice(definition, shared, options.consumers ?? new Map()));
  };
  for (const name of definitions.keys()) await start(name);

  const clients: ServiceClient[] = [];
  const url = (slice: SliceName) => raw[`URL_${slice.toUpperCase()}`] ?? "";
  const clientsWith = (signer: Awaited<ReturnType<typeof createSigner>>, headers: Record<string, string>) =>
    Object.fromEntries(
      SLICE_NAMES.map((slice) => {
        const inner = createServiceClient({
          name: slice,
          baseUrl: url(slice),
          audience: center,
          signer,
          metrics,
          timeoutMs: 15_000,
        });
        clients.push(inner);
        const outer: ServiceClient = {
          call: (call) =>
            inner.call({
              // A person's app always sends a key.
              ...(call.method === "POST" && "x-cells-user" in headers ? { idempotencyKey: newUuid() } : {}),
              ...call,
              headers: { ...headers, ...call.headers },
            }),
          close: () => inner.close(),
        };
        return [slice, outer];
      }),
    ) as Record<SliceName, ServiceClient>;
  const gatewaySigner = await createSigner({
    jwk: gatewayKey.privateJwk,
    issuer: "gateway",
    subject: "gateway",
  });
  const cellSigner = await createSigner({ jwk: cellKey.privateJwk, issuer: "cell", subject: "orders" });

  return {
    center,
    sql,
    trustDir,
    env: raw,
    publicKeys,
    url,
    running(slice) {
      const found = running.get(slice);
      if (!found) throw new Error(`slice ${slice} is not running`);
      return found;
    },
    as: (user, ...roles) =>
      clientsWith(gatewaySigner, { "x-cells-user": user, "x-cells-roles": roles.join(",") }),
    internal: clientsWith(cellSigner, {}),
    gatewayToken: () => gatewaySigner.token(center),
    async stopSlice(slice) {
      await running.get(slice)?.stop();
      running.delete(slice);
    },
    startSlice: start,
    async stop() {
      await Promise.all([...running.values()].map((slice) => slice.stop()));
      await Promise.all(clients.map((client) => client.close()));
      await kafka.removeTopics(topicsOf(center)).catch(() => undefined);
      await kafka.close();
      await redis.close();
      await sql.close();
      await root.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await root.close();
      await rm(trustDir, { recursive: true, force: true });
    },
  };
}
