import { AsyncLocalStorage } from "node:async_hooks";
import type { Sql, Tx } from "./sql.ts";
import { Contended, Fenced, isDatabaseAway } from "./sqlstate.ts";

export interface GroupOptions<J, R> {
  readonly sql: Sql;
  /** Does all of these jobs in one transaction and answers in their order. It may run again from the start, so it does nothing but queries. */
  run(tx: Tx, jobs: readonly J[]): Promise<readonly R[]>;
  /** `run` is one statement, which commits by itself (`Sql.query`): it needs no transaction around it. */
  readonly isOneStatement?: boolean;
  /** Whether what a batch cannot do is tried one by one; default true. False: each caller hears of it, and goes on by itself. */
  readonly retryAlone?: boolean;
  /** Jobs in one transaction at most; default 64. */
  readonly max?: number;
  /** Jobs that may wait at most; default 2,000. One more is Contended. */
  readonly maxWaiting?: number;
}

interface Waiting<J, R> {
  readonly job: J;
  /** Where it was asked for: the transaction shows in the trace of the first of its jobs. */
  readonly within: <T>(run: () => T) => T;
  resolve(result: R): void;
  reject(error: unknown): void;
}

const MAX = 64;
const MAX_WAITING = 2_000;

/**
 * Commits jobs together: while one transaction is under way the next jobs gather, and share BEGIN, COMMIT, the wait for the disk and each
 * statement. A caller hears of its job when it is committed. What a batch cannot do is tried one by one, so that one bad job fails alone.
 */
export function createGroup<J, R>(options: GroupOptions<J, R>): (job: J) => Promise<R> {
  const {
    sql,
    run,
    isOneStatement = false,
    retryAlone = true,
    max = MAX,
    maxWaiting = MAX_WAITING,
  } = options;
  const queue: Waiting<J, R>[] = [];
  let isPumping = false;

  async function pump(): Promise<void> {
    // One turn of the event loop, so that requests that arrived together travel together.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) await commit(queue.splice(0, max));
    isPumping = false;
  }

  async function commit(batch: readonly Waiting<J, R>[]): Promise<void> {
    try {
      const jobs = batch.map(({ job }) => job);
      const all = () => (isOneStatement ? run(sql, jobs) : sql.transaction((tx) => run(tx, jobs)));
      const results = await (batch[0]?.within(all) ?? all());
      if (results.length !== batch.length)
        throw new Error(`${batch.length} jobs were given ${results.length} answers`);
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as R);
    } catch (error) {
      if (retryAlone && batch.length > 1 && !isOfAll(error)) for (const one of batch) await commit([one]);
      else for (const { reject } of batch) reject(error);
    }
  }

  return (job) =>
    new Promise((resolve, reject) => {
      if (queue.length >= maxWaiting) {
        reject(new Contended(`${maxWaiting} jobs wait for their transaction already`));
        return;
      }
      queue.push({ job, within: AsyncLocalStorage.snapshot(), resolve, reject });
      if (isPumping) return;
      isPumping = true;
      void pump();
    });
}

/** The fault is in the store or in this copy's standing: no job would fare better alone. */
function isOfAll(error: unknown): boolean {
  return error instanceof Fenced || error instanceof Contended || isDatabaseAway(error);
}
