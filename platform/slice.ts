import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { z } from "zod";
import type { Clock } from "./clock.ts";
import { intSetting } from "./config.ts";
import type { DomainEvent } from "./events.ts";
import type { ServiceClient } from "./fetch.ts";
import type { HealthCheck } from "./health.ts";
import type { Route } from "./http.ts";
import type { Subscription } from "./inbox.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Redis } from "./redis.ts";
import type { SliceName } from "./slices.ts";
import type { Sql } from "./sql.ts";
import { TLS_MODES } from "./sqltls.ts";
import type { Signer } from "./trust.ts";
import type { Worker } from "./workers.ts";

/** Settings that slices of a cell share; all come from the environment. */
export const cellEnvSchema = z.object({
  CELL: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, "a DNS label of at most 40 characters"),
  CELL_EPOCH: intSetting(0, Number.MAX_SAFE_INTEGER),
  REGION: z.string().min(1).max(63).default("local"),
  DATABASE_HOST: z.string().default("127.0.0.1"),
  DATABASE_PORT: intSetting(1, 65_535).default(5432),
  DATABASE_NAME: z.string().default("cell"),
  DATABASE_ROLE_PREFIX: z.string().max(60).default(""),
  DATABASE_TLS: z.enum(TLS_MODES).default("Disable"),
  DATABASE_CA: z.string().max(65_536).optional(),
  DATABASE_POOL: intSetting(1, 100).default(10),
  REDIS_URL: z.string().min(1),
  KAFKA_BROKERS: z.string().min(1),
  TRUST_DIR: z.string().min(1),
  CREDENTIALS_GENERATION: intSetting(0, 1_000_000).default(0),
  PSP_URL: z.string().default(""),
  BIND_HOST: z.string().default("0.0.0.0"),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_TRACES_FILE: z.string().optional(),
  CENTER_LATITUDE: z.coerce.number().min(-90).max(90).default(0),
  CENTER_LONGITUDE: z.coerce.number().min(-180).max(180).default(0),
  SERVICE_LEVEL_MINUTES: intSetting(1, 10_080).default(60),
  MAX_ORDERS_PER_MINUTE: intSetting(1, 1_000_000).default(600),
  CURRENCY: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default("KRW"),
  OFFER_ACK_SECONDS: intSetting(1, 3_600).default(60),
  HOLD_TTL_SECONDS: intSetting(5, 3_600).default(300),
  HOLD_RATE_PER_SKU: intSetting(0, 1_000_000).default(5_000),
  HIGH_VALUE_MINOR: z
    .string()
    .regex(
      /^[A-Z]{3}=\d{1,13}(,[A-Z]{3}=\d{1,13})*$/,
      "is currencies with minor units, such as KRW=500000,USD=40000",
    )
    .default("KRW=500000,JPY=50000,USD=40000,EUR=40000")
    .transform(
      (text): Readonly<Record<string, number>> =>
        Object.fromEntries(text.split(",").map((part) => [part.slice(0, 3), Number(part.slice(4))])),
    ),
  REVIEW_SCORE: intSetting(1, 1_000).default(100),
  // Authorizations live for 7 days; one that runs out in its review would be lost.
  REVIEW_HOURS: intSetting(1, 120).default(2),
  RETURN_DAYS: intSetting(1, 365).default(30),
  COURIER_OFFLINE_SECONDS: intSetting(1, 86_400).default(300),
});

export type CellEnv = z.output<typeof cellEnvSchema>;

/** All that a slice is given. Nothing in a slice reaches for anything else. */
export interface SliceContext {
  readonly center: string;
  readonly epoch: number;
  readonly region: string;
  readonly env: CellEnv;
  /** This process, for leases. */
  readonly holder: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The slice's own role and pool; transactions check the epoch. */
  readonly sql: Sql;
  readonly redis: Redis;
  readonly clock: Clock;
  readonly random: () => number;
  newId(prefix: string): string;
  /** The siblings, each with a token of this cell. */
  readonly clients: Readonly<Record<SliceName, ServiceClient>>;
  /** For clients of services outside of the cell and for signatures. */
  readonly signer: Signer;
  kafkaHealthy(): boolean;
  /** Puts an event of a sibling with this slice's dead letters (`buryEvent`). */
  bury(event: DomainEvent, reason: string): Promise<void>;
}

export interface SliceDefinition {
  readonly name: SliceName;
  build(context: SliceContext): BuiltSlice;
}

/** What a slice gives to its host. */
export interface BuiltSlice {
  readonly routes: readonly Route[];
  readonly subscriptions: readonly Subscription[];
  readonly workers: readonly Worker[];
  readonly checks?: readonly HealthCheck[];
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  start?(): Promise<void>;
  stop?(): Promise<void>;
}
