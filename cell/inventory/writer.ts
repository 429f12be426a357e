import { createHash } from "node:crypto";
import { canonicalJson } from "../../platform/canonical.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import { DURATION_BUCKETS, type Metrics } from "../../platform/metrics.ts";
import { fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import { Contended, Fenced, isDatabaseAway, sqlState } from "../../platform/sqlstate.ts";
import { traceHeaders } from "../../platform/tracing.ts";
import { carryOut, type Effects, isEmpty, type Outcome, type Submitted } from "./batch.ts";
import type { Command } from "./commands.ts";
import { UnbearableBatch, writeEffects } from "./store.ts";
import { loadView } from "./view.ts";

/** The one door through which stock changes in this process. */
export interface Writer {
  /** Carries a command out, together with whatever else waits. Refused early when the queue is full. */
  submit(command: Command): Promise<Outcome>;
  /** Takes nothing more and waits for what is queued. */
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly sql: Sql;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called after each commit with what was written; the callers of the batch wait for it. */
  readonly committed: (effects: Effects) => Promise<void>;
  /** Commands in one transaction at most. */
  readonly maxBatch?: number;
  /** Commands that may wait at most. */
  readonly maxQueued?: number;
}

interface Waiting extends Submitted {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

const DEFAULT_MAX_BATCH = 64;
const DEFAULT_MAX_QUEUED = 2_000;
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64];

/** So long after it has met another writer, one takes turns with it. */
const TURNS_FOR_MS = 10_000;

/**
 * Commits commands in batches: while one transaction is under way, the next batch gathers, so that one hot SKU costs one row
 * update per batch instead of one per order. Replicas that meet take turns by a row lock (`takeTurn`) for a while: they neither
 * forward to each other nor go on aborting each other. Correct without turns, too: the transactions are serializable.
 */
export function createWriter(options: WriterOptions): Writer {
  const { metrics, log, maxBatch = DEFAULT_MAX_BATCH, maxQueued = DEFAULT_MAX_QUEUED } = options;
  const sizes = metrics.histogram("inventory_batch_commands", "Commands in one transaction.", BATCH_SIZES);
  const seconds = metrics.histogram(
    "inventory_batch_seconds",
    "Time of a batch until it is committed.",
    DURATION_BUCKETS,
  );
  const depth = metrics.gauge("inventory_queued_commands", "Commands that wait for the writer.");
  const outcomes = metrics.counter("inventory_commands_total", "Commands by outcome.", ["kind", "outcome"]);
  const queue: Waiting[] = [];
  const met = metrics.counter(
    "inventory_writer_met_total",
    "Batches that met another writer's and were repeated.",
  );
  let turnsUntilMs = Number.NEGATIVE_INFINITY;
  let stopped = false;
  let pumping: Promise<void> | undefined;

  async function pump(): Promise<void> {
    // One turn of the event loop, so that requests that arrived together travel together.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const batch = queue.splice(0, maxBatch);
      depth.set({}, queue.length);
      sizes.observe({}, batch.length);
      await runBatch(batch);
    }
    pumping = undefined;
  }

  async function runBatch(batch: readonly Waiting[]): Promise<void> {
    const startedAtMs = performance.now();
    try {
      const { outcomes: results, effects } = await carry(batch);
      // The answers wait until the hold store knows; the next batch does not wait for them.
      const told = isEmpty(effects) ? Promise.resolve() : options.committed(effects);
      void told
        .catch((error: unknown) =>
          log.warn({ error: errorText(error) }, "a commit could not be mirrored at once"),
        )
        .then(() => {
          for (const [index, waiting] of batch.entries()) settle(waiting, results[index]!);
        });
    } catch (error) {
      await fallBack(batch, error);
    } finally {
      seconds.observe({}, (performance.now() - startedAtMs) / 1000);
    }
  }

  async function carry(batch: readonly Waiting[]): ReturnType<typeof commit> {
    if (performance.now() > turnsUntilMs) {
      try {
        return await commit(options.sql, batch, 1);
      } catch (error) {
        if (!(error instanceof Contended)) throw error;
        met.inc();
        turnsUntilMs = performance.now() + TURNS_FOR_MS;
      }
    }
    return takeTurn(options, () => commit(options.sql, batch));
  }

  /** One bad command must not take its company down: what a batch cannot do is tried one by one. */
  async function fallBack(batch: readonly Waiting[], error: unknown): Promise<void> {
    if (batch.length > 1 && isOfOneCommand(error)) {
      log.warn(
        { error: errorText(error), commands: batch.length },
        "a batch failed and is repeated one by one",
      );
      for (const waiting of batch) await runBatch([waiting]);
      return;
    }
    for (const waiting of batch) {
      if (isStoreTrouble(error)) settle(waiting, storeAway());
      else waiting.reject(error);
    }
  }

  function settle(waiting: Waiting, outcome: Outcome): void {
    const word = outcome.ok ? (outcome.replayed ? "replayed" : "done") : outcome.code;
    outcomes.inc({ kind: waiting.command.kind, outcome: word });
    waiting.resolve(outcome);
  }

  return {
    submit(command) {
      if (stopped)
        return Promise.resolve(fail("unavailable", "The service is stopping: repeat the request."));
      if (queue.length >= maxQueued) {
        return Promise.resolve(
          fail("overloaded", "Too many stock commands are waiting: repeat the request with the same id."),
        );
      }
      return new Promise((resolve, reject) => {
        queue.push({ command, bodyHash: hashOf(command), ...traceHeaders(), resolve, reject });
        depth.set({}, queue.length);
        pumping ??= pump();
      });
    },
    async stop() {
      stopped = true;
      await pumping;
    },
  };
}

/** Reads, decides and writes one batch in one transaction; `attempts` as for any transaction. */
export function commit(
  sql: Sql,
  batch: readonly Submitted[],
  attempts?: number,
): Promise<{ outcomes: Outcome[]; effects: Effects }> {
  return sql.transaction(
    async (tx) => {
      const result = carryOut(await loadView(tx, batch), batch);
      await writeEffects(tx, result.effects);
      return result;
    },
    attempts === undefined ? {} : { attempts },
  );
}

/**
 * Waits for the row lock that says whose turn it is, in a transaction of its own: the work's snapshot must be younger than the
 * turn, else it would collide with the batch before. Losing the turn costs a repetition, never correctness.
 */
async function takeTurn<T>(
  { sql, log }: Pick<WriterOptions, "sql" | "log">,
  work: () => Promise<T>,
): Promise<T> {
  let running: Promise<T> | undefined;
  try {
    await sql.transaction(
      async (tx) => {
        await tx.query("SELECT id FROM inventory.writer WHERE id = 1 FOR UPDATE");
        running ??= work();
        await running.catch(() => undefined);
      },
      { attempts: 1 },
    );
  } catch (error) {
    if (error instanceof Fenced && !running) throw error;
    log.debug({ error: errorText(error) }, "the turn of the writer was lost");
  }
  return running ?? work();
}

/** What a command says, independent of the order in which its fields were written. A release says nothing but its id. */
export function hashOf(command: Command): string {
  if ((command.kind === "receive" || command.kind === "adjust") && command.actor !== undefined) {
    const { actor: _, ...said } = command;
    return hashOf(said);
  }
  return createHash("sha256").update(canonicalJson(command)).digest("hex");
}

/** True for an error that some command of a batch may have brought in. */
function isOfOneCommand(error: unknown): boolean {
  return error instanceof UnbearableBatch || /^2[23]/.test(sqlState(error) ?? "");
}

/** True when the database is away, overloaded or in conflict: nothing is wrong with the command. */
export function isStoreTrouble(error: unknown): boolean {
  if (error instanceof Fenced) return false;
  return error instanceof Contended || isDatabaseAway(error) || /^(40|25P0)/.test(sqlState(error) ?? "");
}

function storeAway() {
  return fail(
    "unavailable",
    "The stock database did not answer: repeat the request with the same id, it is carried out once at most.",
    undefined,
    1,
  );
}
