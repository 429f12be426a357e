import { z } from "zod";
import { type Breaker, BreakerOpen, type BreakerState, createBreaker } from "../../platform/breaker.ts";
import type { Signer } from "../../platform/trust.ts";
import type { CellView, TableCell } from "./domain.ts";
import { createCellPool, FULL, type Outgoing, parseJson, type StreamOutcome } from "./forward.ts";
import type { GatewayMetrics } from "./metrics.ts";

/** What a cell tells about itself once a second; the same call is the health probe. */
const summarySchema = z.object({
  accepting: z.boolean(),
  queueMinutes: z.number().nonnegative(),
  skus: z.array(z.string()).max(10_000),
});

export interface Summary {
  readonly accepting: boolean;
  readonly queueMinutes: number;
  readonly skus: ReadonlySet<string>;
  readonly atMs: number;
}

/** One cell as this gateway reaches it: own sockets, own cap, own breaker for each cell. */
export interface CellLink {
  readonly name: string;
  /** Sends one request; `not-sent` when the breaker is open or the cap is reached. */
  send(outgoing: Omit<Outgoing, "headers"> & { headers: Record<string, string> }): Promise<StreamOutcome>;
  /** Asks for the summary. False when the cell did not answer properly in time. */
  probe(cell: TableCell): Promise<boolean>;
  /** What is known for routing; a summary older than `SUMMARY_TRUST_MS` counts for nothing. */
  view(removed: boolean): CellView;
  close(): void;
}

export interface CellLinkOptions {
  readonly name: string;
  readonly signer: Signer;
  readonly now: () => number;
  readonly metrics: Pick<GatewayMetrics, "inFlight" | "refused" | "breaker">;
  /** Requests to this cell at once. */
  readonly maxInFlight: number;
}

const SUMMARY_TRUST_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;
/** A breaker must outlive the slowest call that it wraps: the forward has a deadline of its own. */
const BREAKER_TIMEOUT_MS = 60_000;

const BREAKER_STATES: Readonly<Record<BreakerState, number>> = { closed: 0, "half-open": 1, open: 2 };

/** Opens the link to one cell. */
export function createCellLink(options: CellLinkOptions): CellLink {
  const { name, signer, now, metrics, maxInFlight } = options;
  const pool = createCellPool({
    maxInFlight,
    onInFlight: (inFlight) => metrics.inFlight.set({ cell: name }, inFlight),
  });
  const probes = createCellPool({ maxInFlight: 2 });
  let summary: Summary | undefined;
  let etag: string | undefined;

  const breaker: Breaker<[Outgoing], StreamOutcome> = createBreaker(`cell-${name}`, attempt, {
    timeoutMs: BREAKER_TIMEOUT_MS,
    volumeThreshold: 10,
    errorThresholdPercentage: 50,
    resetTimeoutMs: 1_000,
    // A client who left says nothing about the cell, and is no reason either to close a breaker that is being tried.
    isFailure: (error) => !isOurs(error) || breaker.state() === "half-open",
    onState: (state) => metrics.breaker.set({ cell: name }, BREAKER_STATES[state]),
  });
  metrics.breaker.set({ cell: name }, BREAKER_STATES.closed);

  function refused(reason: "full" | "breaker-open", outcome: StreamOutcome): StreamOutcome {
    metrics.refused.inc({ cell: name, reason });
    return outcome;
  }

  async function attempt(outgoing: Outgoing): Promise<StreamOutcome> {
    const outcome = await pool.stream(outgoing);
    if (isCellFailure(outcome)) throw new CellFailed(outcome);
    return outcome;
  }

  async function authorized(headers: Record<string, string>): Promise<Record<string, string>> {
    return { ...headers, authorization: `Bearer ${await signer.token(name)}` };
  }

  return {
    name,
    async send(outgoing) {
      const headers = await authorized(outgoing.headers);
      // Asked before the breaker: a full bulkhead is no failure of the cell, and must not be what a half-open breaker is tried with.
      if (pool.isFull()) return refused("full", FULL);
      try {
        return await breaker.fire({ ...outgoing, headers });
      } catch (error) {
        if (error instanceof CellFailed) return error.outcome;
        if (!(error instanceof BreakerOpen)) throw error;
        return refused("breaker-open", {
          kind: "not-sent",
          reason: "too many failures of this center; it is tried again in a second",
          cause: "breaker-open",
        });
      }
    },
    async probe(cell) {
      const address = cell.services.orders;
      if (!address) return false;
      const outcome = await probes.exchange({
        address,
        method: "GET",
        path: "/internal/summary",
        headers: await authorized(etag ? { "if-none-match": etag } : {}),
        timeoutMs: PROBE_TIMEOUT_MS,
      });
      if (outcome.kind !== "answered") return false;
      if (outcome.status === 304 && summary) {
        summary = { ...summary, atMs: now() };
        return true;
      }
      if (outcome.status !== 200) return false;
      const parsed = summarySchema.safeParse(parseJson(outcome.body));
      if (!parsed.success) return false;
      summary = { ...parsed.data, skus: new Set(parsed.data.skus), atMs: now() };
      etag = typeof outcome.headers.etag === "string" ? outcome.headers.etag : undefined;
      return true;
    },
    view(removed) {
      const fresh = summary && now() - summary.atMs < SUMMARY_TRUST_MS ? summary : undefined;
      return {
        removed,
        accepting: fresh?.accepting ?? true,
        queueMinutes: fresh?.queueMinutes ?? 0,
        skus: fresh?.skus,
      };
    },
    close() {
      metrics.breaker.set({ cell: name }, BREAKER_STATES.closed);
      pool.close();
      probes.close();
      breaker.close();
    },
  };
}

/** A refusal (503 with a reason) is an answer; a crash, a bad gateway or silence is a failure of the cell. */
function isCellFailure(outcome: StreamOutcome): boolean {
  if (outcome.kind !== "answered") return true;
  const status = outcome.response.statusCode ?? 502;
  return status === 500 || status === 502 || status === 504;
}

const isOurs = (error: unknown) =>
  error instanceof CellFailed && error.outcome.kind !== "answered" && error.outcome.cause !== undefined;

class CellFailed extends Error {
  readonly outcome: StreamOutcome;
  constructor(outcome: StreamOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}
