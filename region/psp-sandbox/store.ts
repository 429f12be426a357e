import type { Sql, Tx } from "../../platform/sql.ts";
import type { Entry, LedgerAnswer } from "./contract.ts";
import type { AuthorizationState } from "./domain.ts";

interface EntryRow {
  key: string;
  kind: Entry["kind"];
  status: Entry["status"];
  authorization_key: string;
  merchant: string;
  amount_minor: number;
  currency: string;
  body_hash: string;
  reason: string | null;
  reference: string | null;
  at: Date;
}

const COLUMNS =
  "key, kind, status, authorization_key, merchant, amount_minor, currency, body_hash, reason, reference, at";

function toEntry(row: EntryRow): Entry {
  return {
    key: row.key,
    kind: row.kind,
    status: row.status,
    authorizationKey: row.authorization_key,
    merchant: row.merchant,
    amount: { amountMinor: row.amount_minor, currency: row.currency },
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.reference === null ? {} : { reference: row.reference }),
    at: row.at.toISOString(),
  };
}

/** The movement under a key, with the hash of the request that made it. */
export async function findEntry(
  tx: Tx,
  key: string,
): Promise<{ entry: Entry; bodyHash: string } | undefined> {
  const [row] = await tx.query<EntryRow>(`SELECT ${COLUMNS} FROM psp.entry WHERE key = $1`, [key]);
  return row && { entry: toEntry(row), bodyHash: row.body_hash };
}

/** Another movement has this key; the transaction must not go on. */
export class KeyTaken extends Error {}

/** Writes a movement; it is never changed after that. Throws KeyTaken. */
export async function insertEntry(tx: Tx, entry: Omit<Entry, "at">, bodyHash: string): Promise<Entry> {
  const [row] = await tx.query<EntryRow>(
    `INSERT INTO psp.entry (key, kind, status, authorization_key, merchant, amount_minor, currency, body_hash, reason, reference)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     ON CONFLICT (key) DO NOTHING RETURNING ${COLUMNS}`,
    [
      entry.key,
      entry.kind,
      entry.status,
      entry.authorizationKey,
      entry.merchant,
      entry.amount.amountMinor,
      entry.amount.currency,
      bodyHash,
      entry.reason ?? null,
      entry.reference ?? null,
    ],
  );
  if (!row) throw new KeyTaken(entry.key);
  return toEntry(row);
}

export interface StoredAuthorization extends AuthorizationState {
  readonly merchant: string;
  readonly reference?: string;
}

/** The authorization with its row locked until the transaction ends. */
export async function lockAuthorization(tx: Tx, key: string): Promise<StoredAuthorization | undefined> {
  const [row] = await tx.query<{
    merchant: string;
    status: AuthorizationState["status"];
    amount_minor: number;
    currency: string;
    captured_minor: number;
    refunded_minor: number;
    reference: string | null;
  }>(
    `SELECT merchant, status, amount_minor, currency, captured_minor, refunded_minor, reference
     FROM psp.authorization_state WHERE key = $1 FOR UPDATE`,
    [key],
  );
  return (
    row && {
      merchant: row.merchant,
      status: row.status,
      amountMinor: row.amount_minor,
      currency: row.currency,
      capturedMinor: row.captured_minor,
      refundedMinor: row.refunded_minor,
      ...(row.reference === null ? {} : { reference: row.reference }),
    }
  );
}

/** False when the key has one already. */
export async function insertAuthorization(tx: Tx, key: string, state: StoredAuthorization): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO psp.authorization_state (key, merchant, status, amount_minor, currency, reference)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING RETURNING key`,
    [key, state.merchant, state.status, state.amountMinor, state.currency, state.reference ?? null],
  );
  return rows.length === 1;
}

/** Relative on purpose: the CHECKs of the table are the last line against paying out too much. */
export async function changeAuthorization(
  tx: Tx,
  key: string,
  change: { capturedMinor?: number; refundedMinor?: number; voided?: boolean },
): Promise<void> {
  await tx.query(
    `UPDATE psp.authorization_state SET captured_minor = captured_minor + $2, refunded_minor = refunded_minor + $3,
       status = CASE WHEN $4::BOOL THEN 'voided' ELSE status END WHERE key = $1`,
    [key, change.capturedMinor ?? 0, change.refundedMinor ?? 0, change.voided ?? false],
  );
}

export interface LedgerFilter {
  readonly merchant?: string | undefined;
  readonly reference?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** A page of movements, oldest first, and the totals over all that fit. */
export async function readLedger(sql: Sql, filter: LedgerFilter): Promise<LedgerAnswer> {
  const { merchant = null, reference = null, cursor, limit } = filter;
  const [atMicros, key] = cursor === undefined ? [null, null] : splitCursor(cursor);
  const where = "($1::TEXT IS NULL OR merchant = $1) AND ($2::TEXT IS NULL OR reference = $2)";
  const rows = await sql.query<EntryRow & { at_micros: number }>(
    `SELECT ${COLUMNS}, (extract(EPOCH FROM at) * 1000000)::INT8 AS at_micros FROM psp.entry
     WHERE ${where} AND ($3::INT8 IS NULL
       OR (at, key) > (TIMESTAMPTZ '1970-01-01 00:00:00+00' + $3::INT8 * INTERVAL '1 microsecond', $4::TEXT))
     ORDER BY at, key LIMIT $5`,
    [merchant, reference, atMicros, key, limit],
  );
  const [totals] = await sql.query<LedgerAnswer["totals"]>(
    `SELECT count(*) FILTER (WHERE kind = 'authorization')::INT8 AS authorizations,
       count(*) FILTER (WHERE kind = 'authorization' AND status = 'declined')::INT8 AS declined,
       count(*) FILTER (WHERE kind = 'void')::INT8 AS voided,
       count(*) FILTER (WHERE kind = 'capture')::INT8 AS captures,
       count(*) FILTER (WHERE kind = 'refund')::INT8 AS refunds,
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture'), 0)::INT8 AS "capturedMinor",
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0)::INT8 AS "refundedMinor",
       (SELECT count(*) FROM psp.authorization_state WHERE ${where} AND status = 'approved' AND captured_minor = 0)::INT8
         AS open
     FROM psp.entry WHERE ${where}`,
    [merchant, reference],
  );
  if (!totals) throw new Error("an aggregate without a row");
  const last = rows.length === limit ? rows.at(-1) : undefined;
  const page = { entries: rows.map(toEntry), totals };
  return last ? { ...page, nextCursor: `${last.at_micros}|${last.key}` } : page;
}

/** Microseconds matter: many movements share a millisecond. */
function splitCursor(cursor: string): [string, string] {
  const at = cursor.indexOf("|");
  return [cursor.slice(0, at), cursor.slice(at + 1)];
}
