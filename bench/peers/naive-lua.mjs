import { Redis } from "ioredis";

/**
 * The script that people write first: six calls, one hold at a time, no idempotency but "is there one", no fence, nothing that
 * gives expired units back. Through plain ioredis, which is quicker here than with automatic pipelining.
 */
const LUA = `
local available = tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or "0")
if redis.call("EXISTS", KEYS[2]) == 1 then return 1 end
if available < tonumber(ARGV[2]) then return 0 end
redis.call("HINCRBY", KEYS[1], ARGV[1], -ARGV[2])
redis.call("HSET", KEYS[2], "sku", ARGV[1], "quantity", ARGV[2], "order", ARGV[3])
redis.call("PEXPIRE", KEYS[2], ARGV[4])
redis.call("ZADD", KEYS[3], ARGV[5], KEYS[2])
return 1`;
const TTL_MS = 300_000;
const STOCK = "{naive}:stock";
const EXPIRY = "{naive}:expiry";

/** Opens the contender on a Redis database of its own. */
export async function open({ redisUrl }) {
  const redis = new Redis(redisUrl);
  redis.defineCommand("hold", { numberOfKeys: 3, lua: LUA });
  let holds = 0;
  let filled = 0;
  return {
    about: `ioredis, six calls in a script, one hold a call, Redis ${/redis_version:(\S+)/.exec(await redis.info("server"))?.[1]}`,
    async fill(skus, units) {
      await redis.flushdb();
      filled = 0;
      for (let from = 0; from < skus; from += 1_000) {
        const page = Array.from({ length: Math.min(1_000, skus - from) }, (_, at) => [
          `sku-${from + at}`,
          units,
        ]);
        await redis.hset(STOCK, Object.fromEntries(page));
        filled += page.length * units;
      }
    },
    async take(sku) {
      const id = `h${holds++}`;
      return (
        (await redis.hold(
          STOCK,
          `{naive}:hold:${id}`,
          EXPIRY,
          `sku-${sku}`,
          1,
          `ord-${id}`,
          TTL_MS,
          Date.now() + TTL_MS,
        )) === 1
      );
    },
    async taken() {
      const left = Object.values(await redis.hgetall(STOCK)).reduce((sum, units) => sum + Number(units), 0);
      if ((await redis.zcard(EXPIRY)) !== filled - left) throw new Error("holds and stock do not agree");
      return filled - left;
    },
    async close() {
      redis.disconnect();
    },
  };
}
