const SERIALIZATION_FAILURE = "40001";
const DEADLOCK = "40P01";

/** This copy of the cell may not write: its epoch is not the one in force. */
export class Fenced extends Error {
  /** A newer epoch is in force, so this copy may never write again; else its own is still to come. */
  readonly superseded: boolean;
  constructor(own: number, inForce: number | undefined) {
    super(`epoch ${own} is not in force (${inForce ?? "none"} is)`);
    this.superseded = inForce !== undefined && inForce > own;
  }
}

/** The transaction was repeated as often as allowed and still met others. */
export class Contended extends Error {}

/** True for an error that a repetition of the whole transaction may cure. */
export function isRetryable(error: unknown): boolean {
  const code = (error as { code?: string } | undefined)?.code;
  return code === SERIALIZATION_FAILURE || code === DEADLOCK;
}

/**
 * SQLSTATE of a database error, such as 23505 for a broken UNIQUE; undefined for anything else. Every state has a digit, and EPIPE,
 * which the runtime says of a connection that is gone, has none.
 */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** True when the database is away or on its way down: nobody's bug, and over soon. No state at all is a broken connection. */
export function isDatabaseAway(error: unknown): boolean {
  const state = sqlState(error);
  // Classes 08 (connection), 53 (resources) and 57 (operator intervention) of SQLSTATE; 25P03: idle for too long
  // inside a transaction, which is what a process that was paused finds.
  if (state !== undefined) return /^(08|53|57)/.test(state) || state === "25P03";
  const { code = "" } = (error ?? {}) as { code?: unknown };
  const text = error instanceof Error ? `${code} ${error.name} ${error.message}` : String(error);
  return /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|timeout|Connection terminated|not queryable|pool after calling end/i.test(
    text,
  );
}
