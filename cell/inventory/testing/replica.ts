import { startSlice } from "../../../cell/host.ts";
import { createKafka } from "../../../platform/kafka.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createRedis, type Redis } from "../../../platform/redis.ts";
import { cellEnvSchema } from "../../../platform/slice.ts";
import { inventorySlice } from "../slice.ts";

/**
 * A second copy of the inventory slice, as a process of its own. With DIE_BEFORE_DROP=1 it kills itself, without any chance to
 * clean up, at the moment at which it would tell the hold store that a hold has become an allocation.
 */
const raw = process.env;
const env = cellEnvSchema.parse(raw);
const log = silentLogger();
const real = createRedis({ url: env.REDIS_URL, log });
const redis: Redis = {
  ...real,
  script: (script, input) => {
    const drops = input.args[0] === "settle" && Number(input.args[2]) > 0;
    if (raw.DIE_BEFORE_DROP === "1" && drops) process.kill(process.pid, "SIGKILL");
    return real.script(script, input);
  },
};
const kafka = createKafka({ brokers: env.KAFKA_BROKERS.split(","), clientId: env.CELL, log });
const slice = await startSlice(inventorySlice, { env, raw, redis, kafka }, new Map());
process.stdout.write(`ready ${slice.port}\n`);
process.once("SIGTERM", () => {
  void slice.stop().then(() => process.exit(0));
});
