import { type Mortal, REPLICAS, type SoakCenter } from "./center.ts";
import type { Customers } from "./customers.ts";
import type { HoldStoreWatch } from "./holdstore.ts";
import type { CrashPoint } from "./points.ts";
import type { MortalStores } from "./stores.ts";
import { pause } from "./time.ts";

export const KILLS = [
  "redis",
  "redis wiped",
  "postgresql",
  "kafka",
  "service a",
  "service b",
  "processor",
] as const;
export type Kill = (typeof KILLS)[number];

export interface NemesisOptions {
  readonly center: SoakCenter;
  readonly stores: MortalStores;
  readonly customers: Customers;
  readonly holdStore: HoldStoreWatch;
  readonly points: readonly CrashPoint[];
  /** How often each crash point has to be hit. */
  readonly hits: number;
  /** Of the kills at random moments: the least and the most time between two. */
  readonly gapMs: readonly [number, number];
  readonly kinds: readonly Kill[];
  readonly random: () => number;
  note(text: string): void;
}

export interface Nemesis {
  readonly kills: ReadonlyMap<Kill, number>;
  readonly hits: ReadonlyMap<string, number>;
  /** For each time that the hold store was wiped: milliseconds from its return to a new generation; undefined: none came in a minute. */
  readonly wholeAfterMs: readonly (number | undefined)[];
  /** True when every crash point has been hit as often as it has to be, and each kind of kill has come once. */
  isDone(): boolean;
  /** No more kills; ends when all is up again. */
  stop(): Promise<void>;
}

/** How long a store is away before it is started again. */
const AWAY_MS: readonly [number, number] = [200, 2_500];
/** Orders that are sent to a victim at once: others are under way there when it dies. */
const ORDERS_PER_VICTIM = 4;
const VICTIM_MS = 30_000;
const WHOLE_MS = 60_000;
const MAX_FAILURES = 30;

/** Kills stores and services at random moments, and copies of orders at each crash point, until it is told to stop. */
export function startNemesis(options: NemesisOptions): Nemesis {
  const { random, note } = options;
  const kills = new Map<Kill, number>(options.kinds.map((kind) => [kind, 0]));
  const hits = new Map<string, number>(options.points.map(({ moment }) => [moment, 0]));
  const wholeAfterMs: (number | undefined)[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;

  async function randomKills(): Promise<void> {
    let left: Kill[] = [];
    while (!signal.aborted) {
      await pauseUnless(between(options.gapMs, random), signal);
      if (signal.aborted) return;
      // Each kind once, in any order, before one comes again.
      if (left.length === 0) left = shuffled(options.kinds, random);
      const kind = left.pop();
      if (kind === undefined) return;
      const awayMs = between(AWAY_MS, random);
      note(`kill: ${kind}, away for ${Math.round(awayMs)} ms`);
      await strike(options, kind, awayMs);
      if (kind === "redis wiped") wholeAfterMs.push(await options.holdStore.untilWhole(WHOLE_MS));
      kills.set(kind, (kills.get(kind) ?? 0) + 1);
    }
  }

  async function crashes(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const open = shuffled(options.points, random).filter(
        ({ moment }) => (hits.get(moment) ?? 0) < options.hits,
      );
      if (open.length === 0) return;
      for (const point of open) {
        if (signal.aborted) return;
        const isHit = await crashAt(options, point).catch(() => false);
        if (isHit) hits.set(point.moment, (hits.get(point.moment) ?? 0) + 1);
        else if (++failures > MAX_FAILURES) {
          note("crash points are given up: too many victims did not come to their moment");
          return;
        }
      }
    }
  }

  const loops = Promise.all([randomKills(), crashes()]);
  // Looked at when it is stopped.
  loops.catch(() => undefined);
  return {
    kills,
    hits,
    wholeAfterMs,
    isDone: () =>
      [...hits.values()].every((count) => count >= options.hits) &&
      [...kills.values()].every((count) => count > 0),
    async stop() {
      stopping.abort();
      await loops;
    },
  };
}

async function strike({ center, stores }: NemesisOptions, kind: Kill, awayMs: number): Promise<void> {
  const mortal: Mortal | undefined =
    kind === "processor" ? kind : REPLICAS.find((name) => kind === `service ${name}`);
  if (mortal) {
    await center.kill(mortal);
    await pause(awayMs);
    await center.revive(mortal);
    return;
  }
  const store = kind === "redis wiped" ? "redis" : (kind as "redis" | "postgresql" | "kafka");
  await stores.kill(store);
  if (kind === "redis wiped") stores.wipe();
  await pause(awayMs);
  await stores.revive(store);
}

/** Starts a copy of orders that dies at the point, sends it orders, and answers whether it died of that. */
async function crashAt({ center, customers }: NemesisOptions, point: CrashPoint): Promise<boolean> {
  const victim = await center.startVictim(point.moment, point.failsAt);
  const orders = Array.from({ length: ORDERS_PER_VICTIM }, () => customers.placeAt(victim.url));
  // They get their answers from other replicas, when those have taken the orders over: nothing waits for that here.
  for (const order of orders) order.catch(() => undefined);
  const late = pause(VICTIM_MS).then(() => false);
  const died = await Promise.race([victim.died, late]);
  await victim.end();
  return died;
}

function between([least, most]: readonly [number, number], random: () => number): number {
  return least + (most - least) * random();
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, lot: random() }))
    .sort((left, right) => left.lot - right.lot)
    .map(({ item }) => item);
}

async function pauseUnless(ms: number, signal: AbortSignal): Promise<void> {
  const untilMs = performance.now() + ms;
  while (!signal.aborted && performance.now() < untilMs) await pause(Math.min(200, ms));
}
