import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { createHealth } from "../../platform/health.ts";
import { type HttpServer, startHttp } from "../../platform/http-server.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { readMigrations } from "../../platform/migrate.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../../platform/sql.ts";
import { startWorkers } from "../../platform/workers.ts";
import { createFaults } from "./faults.ts";
import { createNotifications, type Telling } from "./notifications.ts";
import { createRoutes } from "./routes.ts";
import { createProcessor } from "./service.ts";

export interface PspOptions {
  readonly databaseUrl: string;
  readonly port: number;
  readonly host: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How merchants are notified; without it they are not. */
  readonly telling?: Telling | undefined;
}

export interface RunningPsp {
  readonly port: number;
  /** Resolves when the schema is there. */
  readonly prepared: Promise<void>;
  /** Not ready from now on; requests are still answered. */
  stopping(): void;
  stop(): Promise<void>;
}

const PREPARE_RETRY_MS = 500;
const NOTIFY_INTERVAL_MS = 100;

/** Starts the processor. The database may come later: until then it is alive and not ready. */
export async function startPsp(options: PspOptions): Promise<RunningPsp> {
  const { log, metrics } = options;
  const sql = createSql({
    ...parseDatabaseUrl(options.databaseUrl),
    applicationName: "psp-sandbox",
    log,
    metrics,
    max: 10,
  });
  const stopping = new AbortController();
  let isPrepared = false;
  const prepared = prepare(sql, log, stopping.signal).then(() => {
    isPrepared = true;
  });
  const health = createHealth([
    {
      name: "database",
      async check() {
        if (!isPrepared) return "its schema is not there yet";
        await sql.query("SELECT 1");
        return undefined;
      },
    },
  ]);
  const faults = createFaults({ sql, clock: systemClock, random: Math.random });
  const { telling } = options;
  const notifications = createNotifications({ sql, telling, clock: systemClock, random: Math.random, log });
  const processor = createProcessor(sql, telling && ((tx, entry) => notifications.note(tx, entry)));
  const server: HttpServer = await startHttp({
    routes: createRoutes({ processor, faults, notifications, sql }),
    port: options.port,
    host: options.host,
    log,
    metrics,
    health,
    openapi: { title: "psp-sandbox" },
  });
  const stopWorkers = startWorkers(
    [
      {
        name: "notifications",
        intervalMs: NOTIFY_INTERVAL_MS,
        async run(signal) {
          while (isPrepared && (await notifications.runDue()) > 0 && !signal.aborted);
        },
      },
    ],
    { log, metrics },
  );
  log.info({ port: server.port }, "processor started");
  return {
    port: server.port,
    prepared,
    stopping: () => health.stopping(),
    async stop() {
      stopping.abort();
      await server.close();
      await stopWorkers();
      await prepared;
      await sql.close();
    },
  };
}

/** Makes the schema, as often as it takes; every statement may be repeated. */
async function prepare(sql: Sql, log: Logger, signal: AbortSignal): Promise<void> {
  const migrations = await readMigrations("psp", join(import.meta.dirname, "schema"));
  let told = "";
  while (!signal.aborted) {
    try {
      for (const { statements } of migrations) for (const statement of statements) await sql.query(statement);
      return;
    } catch (error) {
      const text = errorText(error);
      // One line for each new cause; a database that is away is asked again and again.
      if (text !== told) log.warn({ error: text }, "the region database cannot be prepared yet");
      told = text;
      await new Promise((resolve) => setTimeout(resolve, PREPARE_RETRY_MS));
    }
  }
}
