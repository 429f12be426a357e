import type { Sql } from "../../platform/sql.ts";

/** Which cell holds an Idempotency-Key. `attempt` counts the cells it was moved over, from 1. */
export interface Pin {
  readonly cell: string;
  readonly bodyHash: string;
  readonly attempt: number;
}

export interface PinKey {
  readonly sub: string;
  readonly key: string;
}

/**
 * One key, one cell: the single remote write in the path of an order. A key moves to another cell only on
 * proof that the first did not take it. Two requests with one key may run at the same time, so "my connection was
 * refused" proves nothing once another request has used the same pin: `share` marks that, and `move` with
 * `unlessShared` then loses.
 */
export interface Pins {
  /** Pins the key, or tells the pin that is there already (`mine: false`). */
  claim(key: PinKey, bodyHash: string, cell: string): Promise<{ readonly mine: boolean; readonly pin: Pin }>;
  find(key: PinKey): Promise<Pin | undefined>;
  /** Says that a second request goes to the pinned cell. False: the pin has moved on; claim again. */
  share(key: PinKey, pin: Pin): Promise<boolean>;
  /** Moves the pin by compare-and-set. Undefined: another request has shared or moved it. */
  move(key: PinKey, pin: Pin, cell: string, unlessShared: boolean): Promise<Pin | undefined>;
  /** Forgets a pin under which nothing was ever sent, so that a later try is placed afresh. */
  forget(key: PinKey, pin: Pin): Promise<void>;
  /** Deletes what is older than the retention, at most `limit` rows; answers how many. */
  sweep(limit: number): Promise<number>;
}

const RETENTION_DAYS = 7;

const SCHEMA = [
  "CREATE SCHEMA IF NOT EXISTS gateway",
  `CREATE TABLE IF NOT EXISTS gateway.pin (
     sub TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, cell TEXT NOT NULL,
     attempt INT8 NOT NULL DEFAULT 1, shared BOOL NOT NULL DEFAULT false,
     created_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (sub, key))`,
  "CREATE INDEX IF NOT EXISTS pin_created_at ON gateway.pin (created_at)",
];

/** Makes the gateway's table in the region database; safe to repeat and to run from two replicas at once. */
export async function preparePins(sql: Sql): Promise<void> {
  for (const statement of SCHEMA) await sql.query(statement);
}

interface PinRow {
  cell: string;
  body_hash: string;
  attempt: number;
}

const toPin = (row: PinRow): Pin => ({ cell: row.cell, bodyHash: row.body_hash, attempt: row.attempt });

/** Pins in SQL. Each call is one statement that commits by itself. */
export function createPins(sql: Sql): Pins {
  async function find({ sub, key }: PinKey): Promise<Pin | undefined> {
    const rows = await sql.query<PinRow>(
      "SELECT cell, body_hash, attempt FROM gateway.pin WHERE sub = $1 AND key = $2",
      [sub, key],
    );
    return rows[0] && toPin(rows[0]);
  }

  return {
    find,
    async claim({ sub, key }, bodyHash, cell) {
      const inserted = await sql.query<PinRow>(
        `INSERT INTO gateway.pin (sub, key, body_hash, cell) VALUES ($1, $2, $3, $4)
         ON CONFLICT (sub, key) DO NOTHING RETURNING cell, body_hash, attempt`,
        [sub, key, bodyHash, cell],
      );
      if (inserted[0]) return { mine: true, pin: toPin(inserted[0]) };
      const pin = await find({ sub, key });
      if (pin) return { mine: false, pin };
      throw new Error("a pin was forgotten between two statements; the request may be repeated");
    },
    async share({ sub, key }, pin) {
      const rows = await sql.query(
        `UPDATE gateway.pin SET shared = true WHERE sub = $1 AND key = $2 AND cell = $3 AND attempt = $4
         RETURNING attempt`,
        [sub, key, pin.cell, pin.attempt],
      );
      return rows.length === 1;
    },
    async move({ sub, key }, pin, cell, unlessShared) {
      const rows = await sql.query<PinRow>(
        `UPDATE gateway.pin SET cell = $3, attempt = attempt + 1, shared = false
         WHERE sub = $1 AND key = $2 AND cell = $4 AND attempt = $5 AND (NOT $6::bool OR NOT shared)
         RETURNING cell, body_hash, attempt`,
        [sub, key, cell, pin.cell, pin.attempt, unlessShared],
      );
      return rows[0] && toPin(rows[0]);
    },
    async forget({ sub, key }, pin) {
      await sql.query(
        "DELETE FROM gateway.pin WHERE sub = $1 AND key = $2 AND cell = $3 AND attempt = $4 AND NOT shared",
        [sub, key, pin.cell, pin.attempt],
      );
    },
    async sweep(limit) {
      const rows = await sql.query(
        `DELETE FROM gateway.pin WHERE (sub, key) IN (SELECT sub, key FROM gateway.pin
           WHERE created_at < now() - INTERVAL '${RETENTION_DAYS} days' ORDER BY created_at LIMIT $1) RETURNING key`,
        [limit],
      );
      return rows.length;
    },
  };
}
