import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../platform/clock.ts";
import { buryEvent, internalEventsRoute, startConsumer } from "../platform/consumer.ts";
import { cellKeyFile, roleOf } from "../platform/credentials.ts";
import { createDoor, type Door } from "../platform/door.ts";
import type { DomainEvent } from "../platform/events.ts";
import { createServiceClient, type ServiceClient } from "../platform/fetch.ts";
import { createHealth, createRoster, type HealthCheck, type Roster } from "../platform/health.ts";
import { type HttpServer, startHttp } from "../platform/http-server.ts";
import { sqlIdempotency } from "../platform/idempotency.ts";
import { newId } from "../platform/ids.ts";
import { type Subscription, sweepInbox } from "../platform/inbox.ts";
import type { KafkaBus } from "../platform/kafka.ts";
import { createLogger, type Logger } from "../platform/log.ts";
import { createMetrics, type Metrics } from "../platform/metrics.ts";
import { createRelay, OUTBOX_MARK, type Relay } from "../platform/outbox.ts";
import type { Redis } from "../platform/redis.ts";
import { sweepSagas } from "../platform/saga.ts";
import type { BuiltSlice, CellEnv, SliceContext, SliceDefinition } from "../platform/slice.ts";
import { SLICE_NAMES, SLICE_PORTS, type SliceName } from "../platform/slices.ts";
import { createSql } from "../platform/sql.ts";
import {
  createSigner,
  createVerifier,
  type PrivateKey,
  type PublicKeys,
  readKeyFile,
} from "../platform/trust.ts";
import { startWorkers, type Worker } from "../platform/workers.ts";

/** What the slices of one process share. */
export interface Shared {
  readonly env: CellEnv;
  /** The environment as it came, for the settings that carry a slice's name. */
  readonly raw: Readonly<Record<string, string | undefined>>;
  readonly redis: Redis;
  readonly kafka: KafkaBus;
  /** Of the process that runs several slices as one; without one, each slice answers for itself. */
  readonly roster?: Roster;
  /** The ways into the slices that run in this process now, for each other; without them they call each other over the network. */
  readonly doors?: Map<SliceName, Door>;
}

export interface RunningSlice {
  readonly name: SliceName;
  readonly port: number;
  readonly context: SliceContext;
  readonly subscriptions: readonly Subscription[];
  /** Not ready from now on; requests are still answered, each the last of its connection. */
  stopping(): void;
  stop(): Promise<void>;
}

const CALL_TIMEOUT_MS = 5_000;
/** For events of other replicas and of those that are gone; one's own wake the relay when they are committed. */
const RELAY_INTERVAL_MS = 300;
/** Each round costs three statements, Kafka a request, and each consumer a transaction: under load, events travel in company. */
const RELAY_REST_MS = 150;
const SWEEP_INTERVAL_MS = 60_000;
const SWEEP_ROWS = 1_000;

/** Who consumes whom, as the slices' own subscriptions say; needed by the way around Kafka. */
export type ConsumerMap = ReadonlyMap<SliceName, readonly SliceName[]>;

/** Starts one slice: context, HTTP server, relay, consumer and workers. Stores that are away are waited for, not died of. */
export async function startSlice(
  definition: SliceDefinition,
  shared: Shared,
  consumers: ConsumerMap,
): Promise<RunningSlice> {
  const { env, raw, kafka, roster = createRoster([definition.name]) } = shared;
  const { name } = definition;
  const log = createLogger({ service: name, cell: env.CELL, level: env.LOG_LEVEL });
  const metrics = createMetrics({ service: name, cell: env.CELL, defaults: true });
  const context = await createContext(name, shared, log, metrics);
  const built = definition.build(context);
  const checks = [...storeChecks(context), ...(built.checks ?? [])];
  const own = createHealth(checks);
  const health = createHealth([...checks, roster.checkOf(name)]);
  const readKeys = () => readKeyFile<PublicKeys>(join(env.TRUST_DIR, "jwks.json"));
  const { sql } = context;
  const answering = {
    routes: [...built.routes, internalEventsRoute({ slice: name, sql, subscriptions: built.subscriptions })],
    verifier: createVerifier({ keys: await readKeys(), audience: env.CELL, reload: readKeys }),
    idempotency: sqlIdempotency(sql, name),
    ...{ log, metrics },
  };
  const server = await startHttp({
    ...answering,
    port: Number(raw[`PORT_${name.toUpperCase()}`] ?? SLICE_PORTS[name]),
    host: env.BIND_HOST,
    health,
    openapi: { title: name },
    ...(built.upgrade ? { upgrade: built.upgrade } : {}),
  });
  await built.start?.();
  const door = createDoor(answering);
  shared.doors?.set(name, door);
  const stopConsumer = await startConsumer({
    center: env.CELL,
    slice: name,
    sql,
    kafka,
    subscriptions: built.subscriptions,
    log,
    metrics,
  });
  const relay = relayOf(name, context, kafka, consumers);
  const stopWorkers = startWorkers([...commonWorkers(name, context, relay), ...built.workers], {
    log,
    metrics,
  });
  const stopRelay = async () => {
    await stopWorkers();
    // Its successor need not wait for the lease to run out; if the database is away, it does.
    await relay.release().catch(() => undefined);
  };
  roster.joined(name, own);
  log.info({ port: server.port, epoch: env.CELL_EPOCH }, "slice started");
  return {
    name,
    port: server.port,
    context,
    subscriptions: built.subscriptions,
    stopping() {
      health.stopping();
      server.farewell();
    },
    stop() {
      shared.doors?.delete(name);
      return stopSlice(built, server, context, [door.close, stopConsumer, stopRelay]);
    },
  };
}

async function stopSlice(
  built: BuiltSlice,
  server: HttpServer,
  context: SliceContext,
  stops: readonly (() => Promise<void>)[],
): Promise<void> {
  // Nothing new comes in by any way; what is under way ends; then goes what it may still have needed.
  await Promise.all([server.close(), ...stops.map((stop) => stop())]);
  await built.stop?.();
  await Promise.all(Object.values(context.clients).map((client) => client.close()));
  await context.sql.close();
}

/** What the slice `name` is given in this process. Connects to nothing by itself. */
export async function createContext(
  name: SliceName,
  { env, raw, redis, kafka, doors }: Shared,
  log: Logger,
  metrics: Metrics,
): Promise<SliceContext> {
  const jwk = await readKeyFile<PrivateKey>(join(env.TRUST_DIR, cellKeyFile(env.CREDENTIALS_GENERATION)));
  const signer = await createSigner({ jwk, issuer: "cell", subject: name });
  const client = (sibling: SliceName): ServiceClient =>
    createServiceClient({
      name: sibling,
      baseUrl: raw[`URL_${sibling.toUpperCase()}`] ?? `http://127.0.0.1:${SLICE_PORTS[sibling]}`,
      audience: env.CELL,
      signer,
      metrics,
      timeoutMs: CALL_TIMEOUT_MS,
      door: () => doors?.get(sibling),
    });
  return {
    center: env.CELL,
    epoch: env.CELL_EPOCH,
    region: env.REGION,
    env,
    holder: `${name}-${randomUUID()}`,
    log,
    metrics,
    redis,
    signer,
    clock: systemClock,
    random: Math.random,
    newId: (prefix) => newId(prefix, env.CELL),
    clients: Object.fromEntries(
      SLICE_NAMES.map((sibling) => [sibling, client(sibling)]),
    ) as SliceContext["clients"],
    kafkaHealthy: () => kafka.isHealthy(),
    bury: (event, reason) => buryEvent({ center: env.CELL, slice: name, kafka, log }, event, reason),
    sql: createSql({
      host: env.DATABASE_HOST,
      port: env.DATABASE_PORT,
      database: env.DATABASE_NAME,
      user: roleOf(name, env.CREDENTIALS_GENERATION, env.DATABASE_ROLE_PREFIX),
      password: raw[`DATABASE_PASSWORD_${name.toUpperCase()}`] ?? "",
      tls: { mode: env.DATABASE_TLS, ca: env.DATABASE_CA },
      applicationName: name,
      max: env.DATABASE_POOL,
      epoch: env.CELL_EPOCH,
      log,
      metrics,
    }),
  };
}

/** Kafka is no part of readiness: without it orders are taken and events go around it. */
function storeChecks({ sql }: SliceContext): HealthCheck[] {
  return [
    {
      name: "database",
      async check() {
        await sql.query("SELECT 1");
        return undefined;
      },
    },
  ];
}

function relayOf(slice: SliceName, context: SliceContext, kafka: KafkaBus, consumers: ConsumerMap): Relay {
  const { center, holder, log, metrics, sql, clients } = context;
  const bypass = async (event: DomainEvent) => {
    const targets = consumers.get(slice) ?? [];
    const answers = await Promise.all(
      targets.map((target) =>
        clients[target].call({
          method: "POST",
          path: "/internal/events",
          body: event,
          idempotencyKey: event.id,
        }),
      ),
    );
    return answers.every((answer) => answer.ok);
  };
  return createRelay({ center, slice, holder, sql, kafka, bypass, log, metrics });
}

function commonWorkers(slice: SliceName, { sql }: SliceContext, relay: Relay): Worker[] {
  const sweeps = [
    (limit: number) => sweepInbox(sql, slice, limit),
    (limit: number) => sqlIdempotency(sql, slice).sweep(limit),
    (limit: number) => sweepSagas(sql, slice, limit),
  ];
  return [
    {
      name: "relay",
      intervalMs: RELAY_INTERVAL_MS,
      restMs: RELAY_REST_MS,
      async run(signal) {
        while ((await relay.round()) && !signal.aborted);
      },
      wakeBy: (wake) => sql.onCommit((marks) => marks.has(OUTBOX_MARK) && wake()),
    },
    {
      name: "sweep",
      intervalMs: SWEEP_INTERVAL_MS,
      async run(signal) {
        // Each until nothing is left: what grows faster than one bite a minute must not grow for ever.
        for (const sweep of sweeps) while ((await sweep(SWEEP_ROWS)) === SWEEP_ROWS && !signal.aborted);
      },
    },
  ];
}
