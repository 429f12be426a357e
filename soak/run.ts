import { rmSync } from "node:fs";
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPlacing, type PlacingDeps } from "../cell/orders/placing.ts";
import type { Progress } from "../local/progress.ts";
import { createLot } from "../platform/testing/lot.ts";
import { judge, type Rest, readRest } from "./books.ts";
import { CENTER, type SoakCenter, startCenter } from "./center.ts";
import type { Verdict } from "./check/verdict.ts";
import { createClient } from "./client.ts";
import { closeShop } from "./closing.ts";
import { startCrew } from "./crew.ts";
import { type Customers, startCustomers, stockUp } from "./customers.ts";
import { watchHoldStore } from "./holdstore.ts";
import { KILLS, type Kill, type Nemesis, startNemesis } from "./nemesis.ts";
import { type CrashPoint, crashPoints } from "./points.ts";
import { untilRest } from "./rest.ts";
import { openReturnsDesk } from "./returns.ts";
import { startMortalStores } from "./stores.ts";
import { nowAndThen, pause, waitFor } from "./time.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** How often each crash point has to be hit. */
  readonly hits: number;
  /** Only so many crash points, chosen by the seed; default all. */
  readonly points?: number;
  readonly kinds?: readonly Kill[];
  readonly gapMs: readonly [number, number];
  readonly callers: number;
  readonly couriers: number;
  /** Pick lists, and parcels, that the crew works on at one time. */
  readonly hands: number;
  /** Orders between confirmation and end, at most: customers wait when there are more. */
  readonly maxOpen: number;
  readonly fsync: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface SoakResult {
  readonly seed: number;
  readonly loadSeconds: number;
  /** Answered 201 while the load lasted. */
  readonly accepted: number;
  /** Delivered or cancelled while the load lasted, of those. */
  readonly ended: number;
  readonly asked: number;
  readonly refused: ReadonlyMap<string, number>;
  readonly gaveUp: number;
  readonly delivered: number;
  readonly cancelled: number;
  /** Orders of which customers took a part back. */
  readonly cut: number;
  /** Delivered orders of which goods came back. */
  readonly returned: number;
  /** Delivered orders for which money was given back without goods. */
  readonly refunded: number;
  /** Cancelled when the load was over, because nobody had begun to pick them. */
  readonly closed: number;
  readonly holds: number;
  readonly kills: ReadonlyMap<Kill, number>;
  readonly hits: ReadonlyMap<string, number>;
  readonly wantedHits: number;
  /** For each time that the hold store was wiped: milliseconds until it had a new generation; undefined: it got none. */
  readonly wholeAfterMs: readonly (number | undefined)[];
  readonly verdicts: readonly Verdict[];
  /** What had not come to rest at the end; undefined when all had. */
  readonly restless: Rest | undefined;
  /** Where the logs are kept after a failure. */
  readonly dir: string | undefined;
}

const PLENTY = 60;
const SCARCE = 6;
/** Units of each scarce article: few enough that customers meet at the last ones. */
const SCARCE_PER_MINUTE = 20;
const MIN_SCARCE = 12;
const MAX_ORDERS = 150_000;
const WATCH_MS = 1_500;
/** A run that is too short for its kills and crash points goes on for so much longer at most. */
const OVERTIME_MS = 300_000;

/** Starts a cell of its own on stores of its own, loads it, kills what it can, waits for rest, and judges the books. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { progress, seed } = options;
  const dir = await mkdtemp(join(tmpdir(), "soak-"));
  // PostgreSQL runs as a user of its own, who has to pass through.
  await chmod(dir, 0o755);
  const stops: (() => Promise<unknown>)[] = [];
  let isGood = false;
  try {
    const stores = await startMortalStores({
      dir: join(dir, "stores"),
      report: progress,
      fsync: options.fsync,
    });
    stops.push(() => stores.stop());
    const center = await progress.step("Start a cell with two replicas of every slice", "half a minute", () =>
      startCenter(join(dir, "cell"), stores, stops),
    );
    const client = await createClient(center.key, CENTER, center.url);
    stops.push(async () => client.close());
    const scarceUnits = Math.max(MIN_SCARCE, Math.round(options.minutes * SCARCE_PER_MINUTE));
    const assortment = await stockUp(client, { plenty: PLENTY, scarce: SCARCE, scarceUnits });
    const crew = await startCrew(client, options);
    stops.push(() => crew.stop());
    const open = watchOpen(center);
    stops.push(open.stop);
    const customers = startCustomers({
      ...{ client, assortment, random: createLot(seed), callers: options.callers, maxOrders: MAX_ORDERS },
      isFull: () => open.count() >= options.maxOpen,
    });
    const desk = openReturnsDesk(client, createLot(seed + 3));
    stops.push(() => desk.stop());
    const holdStore = watchHoldStore(stores.redisUrl);
    stops.push(() => holdStore.close());
    const nemesis = startNemesis({
      ...{ center, stores, customers, holdStore, hits: options.hits, gapMs: options.gapMs },
      ...{ kinds: options.kinds ?? KILLS, points: pointsOf(options), random: createLot(seed + 1) },
      note: (text) => progress.line(text),
    });
    const load = await progress.step("Load and kills", `${options.minutes} min, seed ${seed}`, () =>
      loadFor(options, center, customers, nemesis),
    );
    const closed = await progress.step(
      "Close the shop",
      "customers take back what nobody has begun to pick",
      async () => {
        await nemesis.stop();
        await customers.stop();
        await desk.stop();
        const tell = nowAndThen(progress.note);
        const note = (left: number) => tell(`${left} orders are left that nobody has begun to pick`);
        return closeShop({ center, client, callers: options.callers, note });
      },
    );
    const restless = await progress.step("Wait until all orders have ended", "some minutes", () =>
      untilRest(center, client, [...assortment.units.keys()], progress),
    );
    await crew.stop();
    const judged = await progress.step("Judge the books", "five checkers", () =>
      judge({ center, client, assortment, tally: customers.tally }),
    );
    const { tally } = customers;
    isGood = !restless && judged.verdicts.every(({ valid }) => valid === true);
    return {
      ...{ seed, ...load, asked: tally.placed.length, refused: tally.reasons, gaveUp: tally.gaveUp },
      ...{ delivered: judged.delivered, cancelled: tally.cancelled, closed, holds: judged.holds },
      ...{ cut: tally.cut, ...desk.tally },
      ...{ kills: nemesis.kills, hits: nemesis.hits, wantedHits: options.hits },
      wholeAfterMs: nemesis.wholeAfterMs,
      ...{ verdicts: judged.verdicts, restless, dir: isGood ? undefined : dir },
    };
  } finally {
    for (const stop of stops.reverse()) await stop().catch(() => undefined);
    if (isGood || options.signal.aborted) rmSync(dir, { recursive: true, force: true });
    else progress.line(`What the processes said is kept in ${dir}.`);
  }
}

function pointsOf({ points, seed }: SoakOptions): CrashPoint[] {
  const all = crashPoints(createPlacing({} as PlacingDeps).steps);
  if (points === undefined) return all;
  const random = createLot(seed + 2);
  return all
    .map((point) => ({ point, lot: random() }))
    .sort((left, right) => left.lot - right.lot)
    .slice(0, points)
    .map(({ point }) => point);
}

/** How many orders are under way, asked of the database now and then; the last number while it is away. */
function watchOpen(center: SoakCenter): { count(): number; stop(): Promise<void> } {
  let count = 0;
  let isStopped = false;
  const loop = (async () => {
    while (!isStopped) {
      count = await readRest(center.sql).then(
        ({ orders }) => orders,
        () => count,
      );
      await pause(WATCH_MS);
    }
  })();
  return {
    count: () => count,
    async stop() {
      isStopped = true;
      await loop;
    },
  };
}

async function loadFor(
  { minutes, progress, signal }: SoakOptions,
  center: SoakCenter,
  { tally }: Customers,
  nemesis: Nemesis,
): Promise<{ loadSeconds: number; accepted: number; ended: number }> {
  const startMs = performance.now();
  const endMs = startMs + minutes * 60_000;
  const tell = nowAndThen(progress.note);
  const isOver = (nowMs: number) => (nowMs >= endMs && nemesis.isDone()) || nowMs >= endMs + OVERTIME_MS;
  while (!signal.aborted && !isOver(performance.now())) {
    await pause(250);
    const perMinute = Math.round(tally.accepted / ((performance.now() - startMs) / 60_000));
    const points = [...nemesis.hits.values()].reduce((sum, hits) => sum + hits, 0);
    tell(`${tally.accepted} orders accepted (${perMinute} a minute), ${points} crash points hit`);
  }
  if (signal.aborted) throw new Error("Stopped.");
  const { accepted } = tally;
  const loadSeconds = (performance.now() - startMs) / 1000;
  const ended = await endedNow(center);
  return { loadSeconds, accepted, ended };
}

async function endedNow({ sql }: SoakCenter): Promise<number> {
  let ended = 0;
  await waitFor(async () => {
    const [row] = await sql.query<{ count: number }>(
      "SELECT count(*)::INT8 AS count FROM orders.orders WHERE state IN ('delivered', 'cancelled')",
    );
    ended = row?.count ?? 0;
    return true;
  }, 60_000);
  return ended;
}
