import { createHash } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import type { ServiceClient } from "../../platform/fetch.ts";
import type { Sql } from "../../platform/sql.ts";
import { sellableAnswer } from "../inventory/contract.ts";
import type { Summary } from "./contract.ts";
import { countWaiting } from "./store.ts";

export interface SummarySource {
  /** At most a second old; throws when the database cannot be read, which is what a probe wants to know. */
  read(): Promise<{ readonly body: Summary; readonly etag: string }>;
}

export interface SummaryDeps {
  readonly center: string;
  readonly epoch: number;
  readonly sql: Sql;
  readonly inventory: ServiceClient;
  readonly clock: Clock;
  readonly maxOrdersPerMinute: number;
  admitting(): boolean;
}

const FRESH_MS = 900;
/** Orders that are waiting for the floor. Bounded, so that the count stays cheap whatever the backlog. */
const MAX_COUNTED = 10_000;

/** Makes the summary; several gateways asking at once cost one query. */
export function createSummary(deps: SummaryDeps): SummarySource {
  const { center, epoch, sql, inventory, clock } = deps;
  let current: Promise<{ body: Summary; etag: string }> | undefined;
  let madeAtMs = Number.NEGATIVE_INFINITY;

  async function make(): Promise<{ body: Summary; etag: string }> {
    const [openOrders, sellable] = await Promise.all([
      countWaiting(sql, MAX_COUNTED),
      inventory.call({ method: "GET", path: "/internal/sellable", response: sellableAnswer }),
    ]);
    const body: Summary = {
      center,
      epoch,
      // Without inventory no hold can be made: say so before a customer waits for it.
      accepting: sellable.ok && deps.admitting(),
      openOrders,
      queueMinutes: Math.round((openOrders / deps.maxOrdersPerMinute) * 10) / 10,
      skus: sellable.ok ? sellable.body.skus : [],
    };
    const etag = `"${createHash("sha256").update(JSON.stringify(body)).digest("base64url").slice(0, 22)}"`;
    return { body, etag };
  }

  return {
    read() {
      if (current && clock.nowMs() - madeAtMs < FRESH_MS) return current;
      madeAtMs = clock.nowMs();
      const made = make();
      made.catch(() => {
        madeAtMs = Number.NEGATIVE_INFINITY;
      });
      current = made;
      return made;
    },
  };
}
