import type { Clock } from "../../platform/clock.ts";
import type { Sql } from "../../platform/sql.ts";
import type { FaultBody } from "./contract.ts";

export type FaultKind = FaultBody["kind"];

/** Faults that are in force, as all replicas see them. */
export interface Faults {
  set(fault: FaultBody): Promise<Date>;
  /** Whether this request is to be hit by that fault. */
  hits(kind: FaultKind): Promise<boolean>;
}

interface Row {
  kind: FaultKind;
  ratio: number;
  until: Date;
}

const FRESH_MS = 250;

/** Keeps faults in the database, so that a restart does not end them early, and looks there a few times a second. */
export function createFaults(deps: { sql: Sql; clock: Clock; random(): number }): Faults {
  const { sql, clock, random } = deps;
  let rows: readonly Row[] = [];
  let reading: Promise<readonly Row[]> | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<readonly Row[]> {
    try {
      rows = await sql.query<Row>("SELECT kind, ratio, until FROM psp.fault WHERE until > now()");
    } catch {
      // The movement that follows will tell that the database is away; the faults last known stay in force.
    }
    return rows;
  }

  /** Who asks while they are being read waits for that: a fault is in force for everybody once it was set. */
  function current(): Promise<readonly Row[]> {
    if (!reading || clock.nowMs() - readAtMs >= FRESH_MS) {
      readAtMs = clock.nowMs();
      reading = read();
    }
    return reading;
  }

  return {
    async set({ kind, forSeconds, ratio }) {
      const [row] = await sql.query<{ until: Date }>(
        `INSERT INTO psp.fault (kind, ratio, until) VALUES ($1, $2, now() + $3::INT8 * INTERVAL '1 second')
         ON CONFLICT (kind) DO UPDATE SET ratio = excluded.ratio, until = excluded.until RETURNING until`,
        [kind, ratio, forSeconds],
      );
      readAtMs = Number.NEGATIVE_INFINITY;
      if (!row) throw new Error("a fault that was written was not returned");
      return row.until;
    },
    async hits(kind) {
      const found = (await current()).find((row) => row.kind === kind);
      return found !== undefined && found.until.getTime() > clock.nowMs() && random() < found.ratio;
    },
  };
}
