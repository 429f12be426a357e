import { errorText, type Logger } from "./log.ts";
import { type Failure, fail, isFailure } from "./problem.ts";
import { Fenced, type Sql, type Tx } from "./sql.ts";
import { currentTraceId, withSpan } from "./tracing.ts";

/** The other side may or may not have acted: the step is run again later, with the same keys. */
export interface Later {
  readonly later: true;
  readonly reason: string;
}

/** Says that a step has to be run again. */
export function later(reason: string): Later {
  return { later: true, reason };
}

/**
 * One step and its way back. Both may run several times, also after a crash in the middle, so both are idempotent
 * by keys that come from the saga's id. `undo` is also called for a step that failed or was cut off.
 */
export interface SagaStep<S> {
  readonly name: string;
  run(state: S, context: SagaContext): Promise<S | Failure | Later>;
  undo?(state: S, context: SagaContext): Promise<S | Later>;
}

export interface SagaContext {
  readonly id: string;
  readonly attempt: number;
}

/** Declares a step. */
export function step<S>(definition: SagaStep<S>): SagaStep<S> {
  return definition;
}

export type SagaOutcome<S> =
  | { readonly status: "done"; readonly state: S }
  | { readonly status: "undone"; readonly state: S; readonly failure: Failure }
  /** Still under way, here or elsewhere; the resume worker goes on with it. */
  | { readonly status: "pending" }
  /** There is none under this id, or it ended so long ago that it was swept: what it did is all that tells of it. */
  | { readonly status: "forgotten" };

export interface SagaRunner<S> {
  /** Writes the saga in the caller's transaction; nothing runs until `run` or the worker takes it. */
  start(tx: Tx, id: string, state: S): Promise<void>;
  /** Takes the saga as far as it goes now. */
  run(id: string): Promise<SagaOutcome<S>>;
  /** Takes up to `limit` sagas whose owner is gone or whose time to repeat has come; answers how many. */
  resume(limit: number): Promise<number>;
  find(id: string): Promise<SagaOutcome<S> | undefined>;
}

export interface SagaOptions<S> {
  readonly sql: Sql;
  readonly schema: string;
  readonly name: string;
  readonly steps: readonly SagaStep<S>[];
  readonly holder: string;
  readonly log: Logger;
  /** How often one step on the way forward is put off before the saga turns back; default 40, a matter of ten minutes. */
  readonly maxAttempts?: number;
  /** Runs in the transaction that ends the saga well. */
  finish?(tx: Tx, id: string, state: S): Promise<void>;
  /** Runs in the transaction that ends the compensation. */
  abandon?(tx: Tx, id: string, state: S, failure: Failure): Promise<void>;
  /** Called after each durable move, for tests that end the process there. */
  afterStep?(id: string, moment: string): void;
}

interface SagaRow<S> {
  id: string;
  state: S;
  position: number;
  direction: "forward" | "backward" | "done" | "undone";
  attempts: number;
  failure: Failure | null;
}

/** After so long another process may take the saga. */
const LEASE_SECONDS = 20;
/** Longer than the timeouts of one step together. A saga that has so much left keeps its lease as it is. */
const ENOUGH_SECONDS = 12;
/**
 * The lease is in an index, and in PostgreSQL a row whose indexed columns stay as they are changes without touching any index. At
 * SERIALIZABLE that is what lets sagas of the same moment, neighbours in every index, pass by each other.
 */
const LEASE = `CASE WHEN lease_until > now() + INTERVAL '${ENOUGH_SECONDS} seconds' THEN lease_until
  ELSE now() + INTERVAL '${LEASE_SECONDS} seconds' END`;
const RETRY_BASE_MS = 200;
const RETRY_MAX_MS = 15_000;
const MAX_ATTEMPTS = 40;
/** A little longer than answers under an Idempotency-Key are kept. */
const RETENTION_DAYS = 31;

/** Makes the runner of one kind of saga over `<schema>.saga`. */
export function createSagaRunner<S>(options: SagaOptions<S>): SagaRunner<S> {
  const { sql, schema, name, steps, holder, log, maxAttempts = MAX_ATTEMPTS } = options;
  const table = `${schema}.saga`;
  const columns = "id, state, position, direction, attempts, failure";

  /** Goes on with what this process owns. */
  async function renew(id: string): Promise<SagaRow<S> | undefined> {
    const rows = await sql.query<SagaRow<S>>(
      `UPDATE ${table} SET lease_until = ${LEASE}
       WHERE id = $1 AND direction IN ('forward', 'backward') AND owner = $2 RETURNING ${columns}`,
      [id, holder],
    );
    return rows[0];
  }

  /** Takes what nobody owns any more; a transaction, because a copy that is fenced off takes no saga away from the copy in force. */
  function claim(id: string): Promise<SagaRow<S> | undefined> {
    return sql.transaction(async (tx) => {
      const rows = await tx.query<SagaRow<S>>(
        `UPDATE ${table} SET owner = $2, lease_until = now() + INTERVAL '${LEASE_SECONDS} seconds'
         WHERE id = $1 AND direction IN ('forward', 'backward') AND lease_until < now() RETURNING ${columns}`,
        [id, holder],
      );
      return rows[0];
    });
  }

  /** Stores a move; throws when another process has taken the saga meanwhile. */
  async function move(
    row: SagaRow<S>,
    change: Partial<SagaRow<S>>,
    inTransaction?: (tx: Tx) => Promise<void>,
  ): Promise<SagaRow<S>> {
    const next = { ...row, attempts: 0, ...change };
    await sql.transaction(async (tx) => {
      const rows = await tx.query(
        `UPDATE ${table} SET state = $3, position = $4, direction = $5, attempts = 0, failure = $6,
           lease_until = CASE WHEN $5 IN ('done', 'undone') THEN now() ELSE ${LEASE} END, updated_at = now()
         WHERE id = $1 AND owner = $2 AND direction = $7 AND position = $8 RETURNING id`,
        [
          row.id,
          holder,
          JSON.stringify(next.state),
          next.position,
          next.direction,
          next.failure === null ? null : JSON.stringify(next.failure),
          row.direction,
          row.position,
        ],
      );
      if (rows.length === 0) throw new SagaLost(row.id);
      await inTransaction?.(tx);
    });
    options.afterStep?.(row.id, `${next.direction}:${next.position}`);
    return next;
  }

  async function postpone(row: SagaRow<S>, reason: string): Promise<SagaOutcome<S>> {
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(row.attempts, 10));
    log.warn({ saga: name, sagaId: row.id, reason, attempts: row.attempts + 1 }, "a saga step is put off");
    await sql.transaction((tx) =>
      tx.query(
        `UPDATE ${table} SET attempts = attempts + 1, owner = '', lease_until = now() + $3::INT8 * INTERVAL '1 millisecond',
           updated_at = now() WHERE id = $1 AND owner = $2`,
        [row.id, holder, delayMs],
      ),
    );
    return { status: "pending" };
  }

  async function forward(row: SagaRow<S>): Promise<SagaRow<S> | Later> {
    const current = steps[row.position];
    if (!current)
      return move(
        row,
        { direction: "done" },
        (tx) => options.finish?.(tx, row.id, row.state) ?? Promise.resolve(),
      );
    const context = { id: row.id, attempt: row.attempts };
    const result = await withSpan(`${name} ${current.name}`, { "saga.id": row.id }, () =>
      current.run(row.state, context),
    );
    if (isLater(result)) return result;
    if (isFailure(result)) {
      log.info({ saga: name, sagaId: row.id, step: current.name, code: result.code }, "a saga turns back");
      return move(row, { direction: "backward", failure: result });
    }
    return move(row, { state: result, position: row.position + 1 });
  }

  async function backward(row: SagaRow<S>): Promise<SagaRow<S> | Later> {
    const failure = row.failure;
    if (!failure) throw new Error(`saga ${row.id} goes back without a reason`);
    if (row.position < 0)
      return move(
        row,
        { direction: "undone" },
        (tx) => options.abandon?.(tx, row.id, row.state, failure) ?? Promise.resolve(),
      );
    const current = steps[row.position];
    const undo = current?.undo?.bind(current);
    if (!undo) return move(row, { position: row.position - 1 });
    const context = { id: row.id, attempt: row.attempts };
    const result = await withSpan(`${name} undo ${current?.name}`, { "saga.id": row.id }, () =>
      undo(row.state, context),
    );
    if (isLater(result)) return result;
    return move(row, { state: result, position: row.position - 1 });
  }

  async function next(row: SagaRow<S>): Promise<SagaRow<S> | Later> {
    if (row.direction === "backward") return backward(row);
    const result = await forward(row).catch((error: unknown) => thrown(row, error));
    if (!isLater(result) || row.attempts + 1 < maxAttempts) return result;
    log.error({ saga: name, sagaId: row.id, reason: result.reason }, "a saga step was put off too often");
    const failure = fail("unavailable", "It did not work for too long and was given up; try it anew.");
    return move(row, { direction: "backward", failure, position: Math.min(row.position, steps.length - 1) });
  }

  /** Ends of ownership go on to `advance`; anything else is tried again. */
  function thrown(row: SagaRow<S>, error: unknown): Later {
    if (isLost(error)) throw error;
    const text = errorText(error);
    log.error({ saga: name, sagaId: row.id, error: text, trace: currentTraceId() }, "a saga step threw");
    return later(text);
  }

  async function advance(start: SagaRow<S>): Promise<SagaOutcome<S>> {
    let row = start;
    try {
      while (row.direction === "forward" || row.direction === "backward") {
        const current = row;
        const result = await next(current).catch((error: unknown) => thrown(current, error));
        if (isLater(result)) return await postpone(row, result.reason);
        row = result;
      }
    } catch (error) {
      if (isLost(error)) return { status: "pending" };
      throw error;
    }
    return outcomeOf(row);
  }

  async function find(id: string): Promise<SagaOutcome<S> | undefined> {
    const rows = await sql.query<SagaRow<S>>(`SELECT ${columns} FROM ${table} WHERE id = $1`, [id]);
    return rows[0] && outcomeOf(rows[0]);
  }

  return {
    find,
    async start(tx, id, state) {
      await tx.query(
        `INSERT INTO ${table} (id, name, state, position, direction, owner, lease_until)
         VALUES ($1, $2, $3, 0, 'forward', $4, now() + INTERVAL '${LEASE_SECONDS} seconds')`,
        [id, name, JSON.stringify(state), holder],
      );
    },
    async run(id) {
      const own = await renew(id);
      if (own) return advance(own);
      const rows = await sql.query<SagaRow<S> & { due: boolean }>(
        `SELECT ${columns}, lease_until < now() AS due FROM ${table} WHERE id = $1`,
        [id],
      );
      const [seen] = rows;
      if (!seen) return { status: "forgotten" };
      const outcome = outcomeOf<S>(seen);
      if (outcome.status !== "pending" || !seen.due) return outcome;
      const claimed = await claim(id).catch(unlessLost);
      return claimed ? advance(claimed) : outcome;
    },
    async resume(limit) {
      const due = await sql.query<{ id: string }>(
        `SELECT id FROM ${table} WHERE name = $1 AND direction IN ('forward', 'backward') AND lease_until < now()
         ORDER BY lease_until LIMIT $2`,
        [name, limit],
      );
      for (const { id } of due) {
        const row = await claim(id);
        if (row) await advance(row);
      }
      return due.length;
    },
  };
}

/** Forgets sagas that ended long ago; at most `limit`. Answers how many. What ended has its time of ending in the lease. */
export async function sweepSagas(sql: Tx, schema: string, limit: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM ${schema}.saga WHERE id IN (SELECT id FROM ${schema}.saga
       WHERE direction IN ('done', 'undone') AND lease_until < now() - INTERVAL '${RETENTION_DAYS} days'
       ORDER BY lease_until LIMIT $1) RETURNING id`,
    [limit],
  );
  return rows.length;
}

/** Another process owns the saga now; this one must do nothing more for it. */
class SagaLost extends Error {
  constructor(id: string) {
    super(`saga ${id} is owned by another process`);
  }
}

/** The saga is another's now, or this copy of the cell may write no more. Neither says anything about the step. */
function isLost(error: unknown): boolean {
  return error instanceof SagaLost || error instanceof Fenced;
}

function unlessLost(error: unknown): undefined {
  if (!isLost(error)) throw error;
}

function isLater(value: unknown): value is Later {
  return typeof value === "object" && value !== null && (value as Later).later === true;
}

function outcomeOf<S>(row: SagaRow<S>): SagaOutcome<S> {
  if (row.direction === "done") return { status: "done", state: row.state };
  if (row.direction === "undone" && row.failure)
    return { status: "undone", state: row.state, failure: row.failure };
  return { status: "pending" };
}
