import type { Failure } from "./problem.ts";
import type { Sql, Tx } from "./sql.ts";

/** A saga as it is written down. */
export interface StoredRow<S> {
  id: string;
  state: S;
  position: number;
  direction: "forward" | "backward" | "done" | "undone";
  attempts: number;
  failure: Failure | null;
}

/** A row as this process has moved it on. */
export interface SagaRow<S> extends StoredRow<S> {
  /** The position that is written down, and when that was by this process's own clock. */
  readonly storedPosition: number;
  readonly storedAtMs: number;
  /** This process has started it and had it all the time. */
  readonly isFresh: boolean;
}

/** One move of one saga. `row` is where it was. */
export interface Move<S> {
  readonly row: SagaRow<S>;
  readonly next: StoredRow<S>;
  readonly traceparent?: string | undefined;
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

/** Makes the statements of one kind of saga over `<schema>.saga`. */
export function createSagaTable<S>(options: {
  readonly sql: Sql;
  readonly schema: string;
  readonly name: string;
  readonly holder: string;
  /** Runs in the transaction of each batch of moves, with those that were stored. */
  ended(tx: Tx, moves: readonly Move<S>[]): Promise<void>;
}) {
  const { sql, name, holder } = options;
  const table = `${options.schema}.saga`;
  const columns = "id, state, position, direction, attempts, failure";

  /** Goes on with what this process owns. */
  async function renew(id: string): Promise<SagaRow<S> | undefined> {
    const rows = await sql.query<StoredRow<S>>(
      `UPDATE ${table} SET lease_until = ${LEASE}
       WHERE id = $1 AND direction IN ('forward', 'backward') AND owner = $2 RETURNING ${columns}`,
      [id, holder],
    );
    return rows[0] && taken(rows[0]);
  }

  /** Takes what nobody owns any more; a transaction, because a copy that is fenced off takes no saga away from the copy in force. */
  function claim(id: string): Promise<SagaRow<S> | undefined> {
    return sql.transaction(async (tx) => {
      const rows = await tx.query<StoredRow<S>>(
        `UPDATE ${table} SET owner = $2, lease_until = now() + INTERVAL '${LEASE_SECONDS} seconds'
         WHERE id = $1 AND direction IN ('forward', 'backward') AND lease_until < now() RETURNING ${columns}`,
        [id, holder],
      );
      return rows[0] && taken(rows[0]);
    });
  }

  /** True for each saga that was still this process's, where it was. */
  async function storeMoves(tx: Tx, moves: readonly Move<S>[]): Promise<boolean[]> {
    // The same saga twice would be changed once and found twice.
    const first = new Map(moves.map((one) => [one.row.id, one] as const).reverse());
    const own = [...first.values()];
    const rows = await tx.query<{ id: string }>(
      `UPDATE ${table} AS s SET state = n.state::JSONB, position = n.position, direction = n.direction, attempts = 0,
         failure = n.failure::JSONB,
         lease_until = CASE WHEN n.direction IN ('done', 'undone') THEN now() ELSE ${LEASE.replaceAll("lease_until", "s.lease_until")} END,
         updated_at = now()
       FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::INT8[])
         AS n (id, state, position, direction, failure, was_direction, was_position)
       WHERE s.id = n.id AND s.owner = $8 AND s.direction = n.was_direction AND s.position = n.was_position
       RETURNING s.id`,
      [
        own.map(({ row }) => row.id),
        own.map(({ next }) => JSON.stringify(next.state)),
        own.map(({ next }) => next.position),
        own.map(({ next }) => next.direction),
        own.map(({ next }) => (next.failure === null ? null : JSON.stringify(next.failure))),
        own.map(({ row }) => row.direction),
        own.map(({ row }) => row.storedPosition),
        holder,
      ],
    );
    const kept = new Set(rows.map(({ id }) => id));
    await options.ended(
      tx,
      own.filter(({ row }) => kept.has(row.id)),
    );
    return moves.map((one) => kept.has(one.row.id) && first.get(one.row.id) === one);
  }

  async function startMany(
    tx: Tx,
    sagas: readonly { readonly id: string; readonly state: S }[],
  ): Promise<void> {
    await tx.query(
      `INSERT INTO ${table} (id, name, state, position, direction, owner, lease_until)
       SELECT n.id, $3, n.state::JSONB, 0, 'forward', $4, now() + INTERVAL '${LEASE_SECONDS} seconds'
       FROM unnest($1::TEXT[], $2::TEXT[]) AS n (id, state)`,
      [sagas.map(({ id }) => id), sagas.map(({ state }) => JSON.stringify(state)), name, holder],
    );
  }

  /** Leaves the saga to whoever comes when the time is over. */
  function postpone(row: SagaRow<S>, delayMs: number): Promise<unknown> {
    return sql.transaction((tx) =>
      tx.query(
        `UPDATE ${table} SET attempts = $4, state = $5, position = $6, owner = '',
           lease_until = now() + $3::INT8 * INTERVAL '1 millisecond', updated_at = now()
         WHERE id = $1 AND owner = $2 AND direction = $7 AND position = $8`,
        [
          row.id,
          holder,
          delayMs,
          row.attempts + 1,
          JSON.stringify(row.state),
          row.position,
          row.direction,
          row.storedPosition,
        ],
      ),
    );
  }

  async function find(id: string): Promise<(StoredRow<S> & { readonly due: boolean }) | undefined> {
    const rows = await sql.query<StoredRow<S> & { due: boolean }>(
      `SELECT ${columns}, lease_until < now() AS due FROM ${table} WHERE id = $1`,
      [id],
    );
    return rows[0];
  }

  /** Those that nobody owns any more, the longest first. */
  async function due(limit: number): Promise<string[]> {
    const rows = await sql.query<{ id: string }>(
      `SELECT id FROM ${table} WHERE name = $1 AND direction IN ('forward', 'backward') AND lease_until < now()
       ORDER BY lease_until LIMIT $2`,
      [name, limit],
    );
    return rows.map(({ id }) => id);
  }

  return { find, due, renew, claim, storeMoves, startMany, postpone };
}

/** A row that this process owns, as it is written down now. */
export function taken<S>(row: StoredRow<S>): SagaRow<S> {
  return { ...row, storedPosition: row.position, storedAtMs: performance.now(), isFresh: false };
}

/** A row that this process has just written for the first time. */
export function fresh<S>(row: StoredRow<S>): SagaRow<S> {
  return { ...taken(row), isFresh: true };
}
