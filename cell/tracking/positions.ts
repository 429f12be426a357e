import type { Clock } from "../../platform/clock.ts";
import type { Redis } from "../../platform/redis.ts";
import type { Fix } from "./contract.ts";
import { fixTimeMs, type LastFix } from "./domain.ts";

/** The last position of each courier. Telemetry: in Redis only, and losable. */
export interface Positions {
  /** False when the fix is a repetition or late. */
  accept(fix: Fix): Promise<boolean>;
  last(courierIds: readonly string[]): Promise<Map<string, LastFix>>;
  /** Calls `changed` when a courier's position has moved, or when something else is told about an order. */
  watch(subject: string, changed: () => void): () => void;
  /** Tells the streams of every replica that something is new about an order; a lost word is made up for by their heartbeat. */
  tell(orderId: string): void;
}

const TTL_SECONDS = 3_600;

/** Sets the position only when it replaces the last one; the same rule as `replaces`, where two requests cannot cross. */
const ACCEPT = `local last = redis.call('HMGET', KEYS[1], 'seq', 'atMs')
if last[1] and (tonumber(ARGV[1]) <= tonumber(last[1]) or tonumber(ARGV[2]) < tonumber(last[2])) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[1], 'atMs', ARGV[2], 'latitude', ARGV[3], 'longitude', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', KEYS[2], ARGV[6])
return 1`;

/** Positions in the cell's Redis; changes reach every replica by one channel. */
export function createPositions(deps: { redis: Redis; clock: Clock; center: string }): Positions & {
  start(): Promise<void>;
  stop(): Promise<void>;
} {
  const { redis, clock, center } = deps;
  const key = (courierId: string) => `{track:${center}}:${courierId}`;
  const channel = `{track:${center}}`;
  const watchers = new Map<string, Set<() => void>>();
  let subscribed: Promise<() => Promise<void>> | undefined;

  return {
    async accept(fix) {
      const atMs = fixTimeMs(Date.parse(fix.deviceTime), clock.nowMs());
      const taken = await redis.script<number>(
        { name: "accept-fix", lua: ACCEPT },
        {
          keys: [key(fix.courierId), channel],
          args: [fix.seq, atMs, fix.latitude, fix.longitude, TTL_SECONDS, fix.courierId],
        },
      );
      return taken === 1;
    },
    async last(courierIds) {
      const found = await Promise.all(
        courierIds.map(async (id) => {
          const values = await redis.call<(string | null)[]>(
            "HMGET",
            key(id),
            "seq",
            "atMs",
            "latitude",
            "longitude",
          );
          const [seq, atMs, latitude, longitude] = values.map((value) =>
            value === null ? Number.NaN : Number(value),
          );
          if (seq === undefined || atMs === undefined || latitude === undefined || longitude === undefined)
            return undefined;
          return Number.isNaN(seq) ? undefined : ([id, { seq, atMs, latitude, longitude }] as const);
        }),
      );
      return new Map(found.filter((entry) => entry !== undefined));
    },
    watch(subject, changed) {
      const set = watchers.get(subject) ?? new Set();
      watchers.set(subject, set.add(changed));
      return () => {
        set.delete(changed);
        if (set.size === 0) watchers.delete(subject);
      };
    },
    tell(orderId) {
      redis.call("PUBLISH", channel, orderId).catch(() => undefined);
    },
    async start() {
      // Not waited for: while Redis is away, streams fall back to their heartbeat.
      subscribed = redis.subscribe(channel, (subject) => {
        for (const changed of watchers.get(subject) ?? []) changed();
      });
      subscribed.catch(() => undefined);
    },
    async stop() {
      const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 500).unref());
      const unsubscribe = await Promise.race([subscribed?.catch(() => undefined), late]);
      await unsubscribe?.();
    },
  };
}
