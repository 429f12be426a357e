import { createGroup } from "./group.ts";
import { errorText, type Logger } from "./log.ts";
import { type Failure, fail, isFailure } from "./problem.ts";
import { createSagaTable, fresh, type Move, type SagaRow, type StoredRow, taken } from "./sagatable.ts";
import type { Sql, Tx } from "./sql.ts";
import { Fenced } from "./sqlstate.ts";
import { currentTraceId, traceHeaders, withSpan } from "./tracing.ts";

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
  /**
   * Its end is not written down by itself: after a crash it runs again, though later steps may have been through. When it then
   * fails, the later ones are undone as well, whether they had run or not.
   */
  readonly isLight?: boolean;
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
  /** The same for several at once. */
  startMany(tx: Tx, sagas: readonly { readonly id: string; readonly state: S }[]): Promise<void>;
  /** Takes the saga as far as it goes now. `started`: its state, when this process has just started and committed it; nothing is read then. */
  run(id: string, started?: S): Promise<SagaOutcome<S>>;
  /** Takes up to `limit` sagas whose owner is gone or whose time to repeat has come; answers how many. */
  resume(limit: number): Promise<number>;
  find(id: string): Promise<SagaOutcome<S> | undefined>;
  /** The names of its steps, in order. */
  readonly steps: readonly string[];
}

/** A saga that has come to its end, in the transaction that writes that down. */
export interface Ended<S> {
  readonly id: string;
  readonly state: S;
  /** Trace of the request behind it, for events. */
  readonly traceparent?: string | undefined;
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
  /** The same for all sagas that end in one transaction; instead of `finish`. */
  finishAll?(tx: Tx, ended: readonly Ended<S>[]): Promise<void>;
  /** Runs in the transaction that ends the compensation. */
  abandon?(tx: Tx, id: string, state: S, failure: Failure): Promise<void>;
  /** Called after each move, for tests that end the process there. */
  afterStep?(id: string, moment: string): void;
}

/** After so long a light step's end is written down like any other, which also lengthens the lease. */
const LIGHT_FOR_MS = 5_000;
const RETRY_BASE_MS = 200;
const RETRY_MAX_MS = 15_000;
const MAX_ATTEMPTS = 40;
/** Side by side, their moves are written down together; a process that dies leaves many at one time. */
const RESUMED_AT_ONCE = 8;
/** A little longer than answers under an Idempotency-Key are kept. */
const RETENTION_DAYS = 31;

/** Makes the runner of one kind of saga over `<schema>.saga`. */
export function createSagaRunner<S>(options: SagaOptions<S>): SagaRunner<S> {
  const { sql, schema, name, steps, holder, log, maxAttempts = MAX_ATTEMPTS } = options;
  const table = createSagaTable<S>({ sql, schema, name, holder, ended });

  /** What runs in this process now: who asks for it a second time waits for the first. */
  const running = new Map<string, Promise<SagaOutcome<S>>>();
  const store = createGroup({ sql, run: table.storeMoves });

  async function ended(tx: Tx, moves: readonly Move<S>[]): Promise<void> {
    const done = moves.filter(({ next }) => next.direction === "done");
    if (done.length > 0 && options.finishAll)
      await options.finishAll(
        tx,
        done.map(({ next, traceparent }) => ({ id: next.id, state: next.state, traceparent })),
      );
    else for (const { next } of done) await options.finish?.(tx, next.id, next.state);
    for (const { next } of moves)
      if (next.direction === "undone" && next.failure)
        await options.abandon?.(tx, next.id, next.state, next.failure);
  }

  /** Stores a move, together with those of other sagas; throws when another process has taken the saga meanwhile. */
  async function move(row: SagaRow<S>, change: Partial<StoredRow<S>>): Promise<SagaRow<S>> {
    const { id, state, position, direction, failure } = { ...row, ...change };
    const next = { id, state, position, direction, failure, attempts: 0 };
    if (!(await store({ row, next, ...traceHeaders() }))) throw new SagaLost(id);
    return moved({ ...taken(next), isFresh: row.isFresh });
  }

  /** A move that the next one that is stored stands for as well. */
  function moveLightly(row: SagaRow<S>, state: S): SagaRow<S> {
    return moved({ ...row, state, position: row.position + 1, attempts: 0 });
  }

  function moved(row: SagaRow<S>): SagaRow<S> {
    options.afterStep?.(row.id, `${row.direction}:${row.position}`);
    return row;
  }

  async function postpone(row: SagaRow<S>, reason: string): Promise<SagaOutcome<S>> {
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** Math.min(row.attempts, 10));
    log.warn({ saga: name, sagaId: row.id, reason, attempts: row.attempts + 1 }, "a saga step is put off");
    await table.postpone(row, delayMs);
    return { status: "pending" };
  }

  /** The last step that may have run: where another process had the saga before, it may have gone on over light steps. */
  function reach({ position, isFresh }: SagaRow<S>): number {
    let last = Math.min(position, steps.length - 1);
    if (!isFresh) while (steps[last]?.isLight && last < steps.length - 1) last++;
    return last;
  }

  async function forward(row: SagaRow<S>): Promise<SagaRow<S> | Later> {
    const current = steps[row.position];
    if (!current) return move(row, { direction: "done" });
    const context = { id: row.id, attempt: row.attempts };
    const result = await withSpan(`${name} ${current.name}`, { "saga.id": row.id }, () =>
      current.run(row.state, context),
    );
    if (isLater(result)) return result;
    if (isFailure(result)) {
      log.info({ saga: name, sagaId: row.id, step: current.name, code: result.code }, "a saga turns back");
      return move(row, { direction: "backward", failure: result, position: reach(row) });
    }
    if (current.isLight && performance.now() - row.storedAtMs < LIGHT_FOR_MS) return moveLightly(row, result);
    return move(row, { state: result, position: row.position + 1 });
  }

  async function backward(row: SagaRow<S>): Promise<SagaRow<S> | Later> {
    const failure = row.failure;
    if (!failure) throw new Error(`saga ${row.id} goes back without a reason`);
    if (row.position < 0) return move(row, { direction: "undone" });
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
    return move(row, { direction: "backward", failure, position: reach(row) });
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
    const seen = await table.find(id);
    return seen && outcomeOf(seen);
  }

  async function runOnce(id: string, started: S | undefined): Promise<SagaOutcome<S>> {
    const own =
      started === undefined
        ? await table.renew(id)
        : fresh({ id, state: started, position: 0, direction: "forward", attempts: 0, failure: null });
    if (own) return advance(own);
    const seen = await table.find(id);
    if (!seen) return { status: "forgotten" };
    const outcome = outcomeOf<S>(seen);
    if (outcome.status !== "pending" || !seen.due) return outcome;
    const claimed = await table.claim(id).catch(unlessLost);
    return claimed ? advance(claimed) : outcome;
  }

  return {
    find,
    start: (tx, id, state) => table.startMany(tx, [{ id, state }]),
    startMany: table.startMany,
    run(id, started) {
      const under = running.get(id);
      if (under) return under;
      const run = runOnce(id, started).finally(() => running.delete(id));
      running.set(id, run);
      return run;
    },
    async resume(limit) {
      const due = await table.due(limit);
      const left = [...due];
      const work = async () => {
        for (let id = left.shift(); id !== undefined; id = left.shift()) {
          const row = await table.claim(id);
          if (row) await advance(row);
        }
      };
      await Promise.all(Array.from({ length: RESUMED_AT_ONCE }, work));
      return due.length;
    },
    steps: steps.map((one) => one.name),
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

function outcomeOf<S>(row: StoredRow<S>): SagaOutcome<S> {
  if (row.direction === "done") return { status: "done", state: row.state };
  if (row.direction === "undone" && row.failure)
    return { status: "undone", state: row.state, failure: row.failure };
  return { status: "pending" };
}
