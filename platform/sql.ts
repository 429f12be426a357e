import pg from "pg";
import { errorText, type Logger } from "./log.ts";
import { DURATION_BUCKETS, type Metrics } from "./metrics.ts";
import { prepared } from "./sqlprepared.ts";
import { Contended, isRetryable, sqlState } from "./sqlstate.ts";
import { type SqlTls, sslOptions } from "./sqltls.ts";
import { once } from "./sqltransaction.ts";
import { withSpan } from "./tracing.ts";
import { createTurns, TooManyWait } from "./turns.ts";

/** The driver's, for those who send statements. */
export type SqlPool = pg.Pool;
export type SqlConnection = pg.PoolClient & {
  /** Not told by the types: what the driver writes to. */
  readonly connection: { readonly stream: { cork(): void; uncork(): void } };
};

/** A connection inside one transaction. */
export interface Tx {
  /**
   * Rows as objects. INT8 comes as a number and throws when it is no safe integer; numeric stays text. Statements that are asked for
   * without waiting in between are carried out in that order and cost one round trip; behind one that fails none takes effect. A text
   * with values is a constant of the code: it is prepared once.
   */
  query<R = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Says what this transaction leaves to be done once it is committed, for those who wait for that (`Sql.onCommit`). */
  mark?(what: string): void;
}

/**
 * A pool of one role in one database. `query` is one statement that commits by itself, READ COMMITTED where there is such a thing: good
 * for looking, and for changing rows by their keys and what is in them. What depends on rows that are not there needs a transaction.
 */
export interface Sql extends Tx {
  /**
   * Runs `fn` in a SERIALIZABLE transaction. On a serialization failure or a deadlock everything since BEGIN
   * is repeated, so `fn` must do nothing but queries; from the third time on alone in this process. The first statement locks the cell's epoch for share:
   * a copy of the cell with an older epoch gets Fenced and has written nothing.
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Calls `listener` with the marks of each transaction of this pool that had any and was committed. Returns the way to stop it. */
  onCommit(listener: (marks: ReadonlySet<string>) => void): () => void;
  /** The same pool with this epoch in force for its transactions. */
  withEpoch(epoch: number | undefined): Sql;
  close(): Promise<void>;
}

export interface TransactionOptions {
  /** Overrides the pool's epoch; `null` leaves the check out, for databases that have no cell. */
  readonly epoch?: number | null;
  readonly attempts?: number;
}

export interface SqlOptions {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Default: a plain connection. */
  readonly tls?: SqlTls | undefined;
  readonly applicationName: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Connections at most. */
  readonly max?: number;
  readonly epoch?: number | undefined;
  readonly statementTimeoutMs?: number;
  readonly random?: () => number;
}

const CONNECT_TIMEOUT_MS = 3_000;
const IDLE_IN_TRANSACTION_MS = 2_000;
const DEFAULT_ATTEMPTS = 12;
/**
 * The more transactions run at once, the more of them fail and come again: once slow, for whatever reason, five orders a second kept each
 * other from ever being written. So fewer run at once when some failed, and from this attempt on one runs alone in its pool.
 */
const ALONE_FROM_ATTEMPT = 3;
const INT8_OID = 20;
const BACKOFF_BASE_MS = 4;
const BACKOFF_MAX_MS = 250;
/**
 * CockroachDB takes FOR SHARE as a hint unless told otherwise. In PostgreSQL a look at a queue is READ COMMITTED: at SERIALIZABLE it
 * reads whole pages of an index, and every transaction that has written there meanwhile is in danger of being undone. A scan reads the
 * whole table in that sense, and PostgreSQL prefers one while a table is small. Each engine evaluates its own branch only.
 */
const SESSION = `SELECT CASE WHEN version() LIKE 'CockroachDB%' THEN
  set_config('enable_shared_locking_for_serializable', 'on', false) ||
  set_config('enable_durable_locking_for_serializable', 'on', false)
  ELSE set_config('default_transaction_isolation', 'read committed', false) ||
  set_config('enable_seqscan', 'off', false) END`;

/** The parts of `postgresql://user:password@host:port/database`. */
export function parseDatabaseUrl(
  url: string,
): Pick<SqlOptions, "host" | "port" | "database" | "user" | "password"> {
  const parsed = new URL(url);
  return {
    host: parsed.hostname,
    port: Number(parsed.port || 5432),
    database: decodeURIComponent(parsed.pathname.slice(1)) || "postgres",
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
  };
}

/** Opens a pool; connects when it is first used. */
export function createSql(options: SqlOptions): Sql {
  const { log, metrics, max = 10, random = Math.random, statementTimeoutMs = 5_000 } = options;
  const pool = new pg.Pool({
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    password: options.password,
    ssl: sslOptions(options.tls, options.host),
    application_name: options.applicationName,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    pipeline: true,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 1_000,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    types: { getTypeParser: typeParser },
    // The pool waits for it, although the type does not say so.
    onConnect: (client) => prepareSession(client, log),
  });
  // A connection that breaks while it is idle must not end the process; the next query opens another.
  pool.on("error", (error) => log.warn({ error: errorText(error) }, "an idle database connection broke"));
  const retries = metrics.counter(
    "sql_transaction_retries_total",
    "Transactions repeated after a conflict.",
    ["code"],
  );
  const seconds = metrics.histogram(
    "sql_transaction_seconds",
    "Time of transactions, repetitions included.",
    DURATION_BUCKETS,
  );

  const turns = createTurns(max);
  const listeners = new Set<(marks: ReadonlySet<string>) => void>();
  const committed = (marks: ReadonlySet<string>) => {
    if (marks.size > 0) for (const listener of listeners) listener(marks);
  };

  function withEpoch(epoch: number | undefined): Sql {
    return {
      // A statement by itself is a transaction too, and a database that is SERIALIZABLE by default ends it like any other.
      query: <R>(text: string, values: readonly unknown[] = []) =>
        repeated(async () => (await pool.query(prepared(text, values))).rows as R[], DEFAULT_ATTEMPTS),
      transaction: (fn, transactionOptions = {}) => transaction(fn, epoch, transactionOptions),
      onCommit(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      withEpoch,
      close: () => pool.end(),
    };
  }

  async function transaction<T>(
    fn: (tx: Tx) => Promise<T>,
    ownEpoch: number | undefined,
    { epoch = ownEpoch ?? null, attempts = DEFAULT_ATTEMPTS }: TransactionOptions,
  ): Promise<T> {
    const startedAtMs = performance.now();
    try {
      const { result, marks } = await withSpan(
        "transaction",
        { "db.namespace": options.database, "db.user": options.user },
        () => repeated((attempt) => inTurn(attempt, () => once(pool, fn, epoch)), attempts),
        "client",
      );
      committed(marks);
      return result;
    } finally {
      seconds.observe({}, (performance.now() - startedAtMs) / 1000);
    }
  }

  async function inTurn<T>(attempt: number, run: () => Promise<T>): Promise<T> {
    try {
      const result = await (attempt < ALONE_FROM_ATTEMPT ? turns.together(run) : turns.alone(run));
      turns.passed();
      return result;
    } catch (error) {
      if (isRetryable(error)) turns.met();
      if (error instanceof TooManyWait) throw new Contended(error.message);
      throw error;
    }
  }

  /** Runs it until it has met nobody. */
  async function repeated<T>(run: (attempt: number) => Promise<T>, attempts: number): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run(attempt);
      } catch (error) {
        if (!isRetryable(error)) throw error;
        retries.inc({ code: sqlState(error) ?? "other" });
        if (attempt >= attempts)
          throw new Contended(`a transaction met others ${attempts} times`, { cause: error });
        const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** attempt);
        await new Promise((resolve) => setTimeout(resolve, random() * ceilingMs));
      }
    }
  }

  return withEpoch(options.epoch);
}

async function prepareSession(client: pg.ClientBase, log: Logger): Promise<void> {
  try {
    await client.query(SESSION);
  } catch (error) {
    log.warn({ error: errorText(error) }, "a database session could not be set up as wished");
  }
}

function typeParser(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  if (oid !== INT8_OID) return pg.types.getTypeParser(oid, format as "text");
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) throw new Error(`INT8 value ${text} is no safe integer`);
    return value;
  };
}
