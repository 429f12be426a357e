import type { Clock } from "../../platform/clock.ts";

/** `full`: the center has no room for anybody now. `too-many`: this user has had their share. */
export type Admitted = "admitted" | "full" | "too-many";

/** Lets through at most `perMinute` orders a minute, in bursts of up to ten seconds' worth, and a part of them for one user. */
export interface Admission {
  /** Takes a place for this user when there is one. */
  admit(user: string): Admitted;
  /** Whether there is one for anybody now. */
  admitting(): boolean;
}

const BURST_SECONDS = 10;
/** No single user may take more than this share of what a center can do, but each may take `USER_MIN` a minute. */
const USER_SHARE = 0.25;
const USER_MIN = 60;
/** Users whose buckets are remembered; a user who is forgotten starts with a full one. */
const MAX_USERS = 10_000;

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/** Token buckets of this process; with n replicas a cell lets through n times as many. */
export function createAdmission(perMinute: number, clock: Clock): Admission {
  const capacity = Math.max(1, (perMinute / 60) * BURST_SECONDS);
  const userPerMinute = Math.max(USER_MIN, perMinute * USER_SHARE);
  const all: Bucket = { tokens: capacity, filledAtMs: clock.nowMs() };
  const users = new Map<string, Bucket>();

  function fill(bucket: Bucket, ratePerMinute: number, max: number): void {
    const nowMs = clock.nowMs();
    const passedMs = Math.max(0, nowMs - bucket.filledAtMs);
    bucket.tokens = Math.min(max, bucket.tokens + (passedMs * ratePerMinute) / 60_000);
    bucket.filledAtMs = nowMs;
  }

  function bucketOf(user: string): Bucket {
    const found = users.get(user) ?? { tokens: userPerMinute, filledAtMs: clock.nowMs() };
    // The one that was used longest ago goes first: a Map keeps the order in which keys were set.
    users.delete(user);
    users.set(user, found);
    const [oldest] = users.keys();
    if (users.size > MAX_USERS && oldest !== undefined) users.delete(oldest);
    return found;
  }

  return {
    admit(user) {
      const own = bucketOf(user);
      fill(own, userPerMinute, userPerMinute);
      if (own.tokens < 1) return "too-many";
      fill(all, perMinute, capacity);
      if (all.tokens < 1) return "full";
      own.tokens -= 1;
      all.tokens -= 1;
      return "admitted";
    },
    admitting() {
      fill(all, perMinute, capacity);
      return all.tokens >= 1;
    },
  };
}
