import type { Sql } from "./sql.ts";

/** The right to be the only one that does something in a schema, as one process holds it. */
export interface WorkerLease {
  /** Takes or renews it; false while another process has it. Asks the database only when a third of the time is over. */
  hold(): Promise<boolean>;
  /** Whether it was taken or renewed so lately that `hold` need not ask. */
  isFresh(): boolean;
  /** Gives it back, so that the next one need not wait. */
  release(): Promise<void>;
}

export interface WorkerLeaseOptions {
  readonly sql: Sql;
  readonly schema: string;
  /** What the right is for. */
  readonly name: string;
  /** Who this process is. */
  readonly holder: string;
  /** After this long without a renewal another one may take it; by the database's clock. */
  readonly seconds: number;
}

/**
 * Makes the lease over `<schema>.worker_lease`. It is taken in a transaction that checks the cell's epoch, so that a copy that is
 * fenced off cannot keep it from the copy in force.
 */
export function createWorkerLease(options: WorkerLeaseOptions): WorkerLease {
  const { sql, schema, name, holder, seconds } = options;
  let renewAtMs = Number.NEGATIVE_INFINITY;
  const isFresh = () => performance.now() < renewAtMs;

  /** A look costs nothing beside a transaction, whose lock on the epoch alone is a wait for the disk. */
  async function isTaken(): Promise<boolean> {
    const rows = await sql.query(
      `SELECT name FROM ${schema}.worker_lease WHERE name = $1 AND holder <> $2 AND until >= clock_timestamp()`,
      [name, holder],
    );
    return rows.length > 0;
  }

  return {
    isFresh,
    async hold() {
      if (isFresh()) return true;
      const startedAtMs = performance.now();
      if (await isTaken()) return false;
      const rows = await sql.transaction((tx) =>
        tx.query(
          `INSERT INTO ${schema}.worker_lease (name, holder, until)
           VALUES ($1, $2, clock_timestamp() + $3::INT8 * INTERVAL '1 second')
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
           WHERE worker_lease.holder = excluded.holder OR worker_lease.until < clock_timestamp() RETURNING name`,
          [name, holder, seconds],
        ),
      );
      const held = rows.length === 1;
      renewAtMs = held ? startedAtMs + (seconds * 1000) / 3 : Number.NEGATIVE_INFINITY;
      return held;
    },
    async release() {
      renewAtMs = Number.NEGATIVE_INFINITY;
      await sql.query(`UPDATE ${schema}.worker_lease SET until = now() WHERE name = $1 AND holder = $2`, [
        name,
        holder,
      ]);
    },
  };
}
