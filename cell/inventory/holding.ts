import { createHash } from "node:crypto";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { DURATION_BUCKETS } from "../../platform/metrics.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import type { HoldAnswer, HoldBody } from "./contract.ts";
import { aggregate, type Demand } from "./domain.ts";
import type { HoldStore, Placed, PlaceRequest, Released, ShortInStore } from "./holds.ts";
import { outOfStock } from "./moves.ts";
import { readSkus } from "./reads.ts";
import type { Trail } from "./trail.ts";
import type { Writer } from "./writer.ts";

export interface HoldingOptions {
  readonly sql: Sql;
  readonly holds: HoldStore;
  readonly writer: Writer;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly epoch: number;
  readonly ttlSeconds: number;
  /** False while the hold store has been away and nobody has looked at it since. */
  readonly trusted: () => boolean;
  /** Called when the hold store is lost or was away, so that a rebuild need not wait for its next look. */
  readonly storeLost: () => void;
  /** Called when the hold store cannot be reached. */
  readonly storeAway: () => void;
  /** Told what holds come and go. */
  readonly trail: Pick<Trail, "reserved" | "released">;
}

/** The hold, or why there is none. */
export type HoldOutcome = { readonly ok: true; readonly answer: HoldAnswer } | Failure;

/** Taking and giving back holds. */
export interface Holding {
  /** `key` is the caller's Idempotency-Key. */
  place(body: HoldBody, key: string | undefined): Promise<HoldOutcome>;
  release(holdId: string): Promise<{ ok: true; released: boolean } | Failure>;
}

type Told = Exclude<Placed, { kind: "more" | "lost" }>;

/** Expired holds are given back in bounded bites; after this many the caller is told to come again. */
const MAX_BITES = 50;

/** Places holds in the hold store; in SQL while the hold store is away or lost. */
export function createHolding(options: HoldingOptions): Holding {
  const { holds, writer, trail, metrics, log, ttlSeconds } = options;
  const counts = metrics.counter("inventory_holds_total", "Holds asked for, by where they were decided.", [
    "path",
    "outcome",
  ]);
  const seconds = metrics.histogram("inventory_hold_seconds", "Time to decide a hold.", DURATION_BUCKETS, [
    "path",
  ]);

  const churn = metrics.counter(
    "inventory_hold_churn_total",
    "Holds that came and went, by what became of them.",
    ["event"],
  );

  async function place(body: HoldBody, key: string | undefined): Promise<HoldOutcome> {
    const startedAtMs = performance.now();
    const lines = aggregate(body.lines);
    const request = {
      holdId: body.holdId,
      callKey: callKeyOf(key, lines),
      orderId: body.orderId,
      owner: body.owner,
      ttlMs: (body.ttlSeconds ?? ttlSeconds) * 1000,
      lines,
    };
    const inFirst = await inStore(request);
    const path = inFirst === "away" ? "sql" : "redis";
    const result = inFirst === "away" ? await inSql(request) : inFirst;
    seconds.observe({ path }, (performance.now() - startedAtMs) / 1000);
    counts.inc({ path, outcome: result.ok ? "held" : result.code });
    return result;
  }

  async function inStore(request: PlaceRequest): Promise<HoldOutcome | "away"> {
    if (!options.trusted()) {
      options.storeLost();
      return "away";
    }
    for (let bite = 0; bite < MAX_BITES; bite++) {
      let placed: Placed;
      try {
        placed = await holds.place(request);
      } catch (error) {
        log.debug({ error: errorText(error) }, "the hold store is away; the hold is taken in SQL");
        options.storeAway();
        return "away";
      }
      if (placed.kind === "lost") {
        options.storeLost();
        return "away";
      }
      if (placed.kind === "placed" && placed.how !== "same")
        trail.reserved(request.holdId, request.orderId, request.lines);
      if (placed.kind !== "more") return await told(request.holdId, placed as Told);
    }
    return fail("unavailable", "Many holds are expiring just now: repeat the request.", undefined, 1);
  }

  async function told(holdId: string, placed: Told): Promise<HoldOutcome> {
    switch (placed.kind) {
      case "placed": {
        if (placed.how !== "same") churn.inc({ event: placed.how });
        const expiresAt = new Date(placed.expiresAtMs).toISOString();
        return { ok: true as const, answer: { holdId, expiresAt, generation: placed.generation } };
      }
      case "short":
        return await short(placed.short);
      case "closed":
        return fail("conflict", `Hold ${holdId} was released or allocated before: take a new hold.`);
      case "foreign":
        return fail("conflict", `Hold ${holdId} belongs to another order: take a new id.`);
      case "limited":
        return fail(
          "rate-limited",
          `SKU ${placed.sku} is asked for more often than this center takes in a second: repeat the request with the same id.`,
          { sku: placed.sku },
          1,
        );
      case "fenced":
        return fail("fenced", "A newer copy of this cell is in force: repeat the request.");
    }
  }

  async function short(list: readonly ShortInStore[]): Promise<Failure> {
    const unseen = list.filter((line) => line.available === undefined).map((line) => line.sku);
    if (unseen.length > 0) {
      const known = new Set((await readSkus(options.sql, unseen)).map((row) => row.sku));
      const unknown = unseen.filter((sku) => !known.has(sku));
      if (unknown.length > 0) {
        const named = unknown.slice(0, 5).join(", ");
        return fail("unprocessable", `This center knows no SKU ${named}: register it first.`, { unknown });
      }
    }
    return outOfStock(list.map((line) => ({ ...line, available: line.available ?? 0 })));
  }

  async function inSql(request: PlaceRequest): Promise<HoldOutcome> {
    const { holdId: id, ...rest } = request;
    const outcome = await writer.submit({ kind: "hold", id, ...rest });
    if (!outcome.ok) return outcome;
    const { expiresAtMs, how } = outcome.answer as { expiresAtMs: number; how: string };
    if (how !== "same") trail.reserved(id, request.orderId, request.lines);
    const expiresAt = new Date(expiresAtMs).toISOString();
    return { ok: true as const, answer: { holdId: id, expiresAt, generation: `sql-${options.epoch}` } };
  }

  async function release(holdId: string): ReturnType<Holding["release"]> {
    let result: Released = "lost";
    try {
      const { how, lines } = await holds.release(holdId);
      result = how;
      if (how === "released") trail.released(holdId, lines);
    } catch (error) {
      log.debug({ error: errorText(error) }, "the hold store is away; the release is noted in SQL");
      options.storeAway();
    }
    if (result === "fenced")
      return fail("fenced", "A newer copy of this cell is in force: repeat the request.");
    if (result === "released") churn.inc({ event: "released" });
    if (result !== "lost") return { ok: true, released: result === "released" };
    const outcome = await writer.submit({ kind: "drop-hold", id: holdId, queueDrop: true });
    if (!outcome.ok) return outcome;
    const { released, lines } = outcome.answer as { released: boolean; lines: readonly Demand[] };
    if (released) trail.released(holdId, lines);
    return { ok: true, released };
  }

  return { place, release };
}

/** Two calls are the same call when key and lines are the same. */
function callKeyOf(key: string | undefined, lines: readonly Demand[]): string {
  const said = JSON.stringify([key ?? "", lines.map(({ sku, quantity }) => [sku, quantity])]);
  return createHash("sha256").update(said).digest("base64url");
}
