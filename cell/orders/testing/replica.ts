import { startSlice } from "../../../cell/host.ts";
import type { ServiceClient } from "../../../platform/fetch.ts";
import { createKafka } from "../../../platform/kafka.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createRedis } from "../../../platform/redis.ts";
import { cellEnvSchema, type SliceDefinition } from "../../../platform/slice.ts";
import { createOrdersSlice } from "../slice.ts";

/**
 * A copy of the orders slice as a process of its own, that kills itself without any chance to clean up at the moment that DIE_AT names:
 * `step:forward:1` (that step is durable), `before:/internal/holds` or `after:/internal/holds` (a call to a sibling).
 */
const raw = process.env;
const env = cellEnvSchema.parse(raw);
const log = silentLogger();

function die(moment: string): void {
  if (raw.DIE_AT === moment) process.kill(process.pid, "SIGKILL");
}

/** Paths without their ids: `/internal/intents/x/void` is `/internal/intents/void`. */
function nameOf(path: string): string {
  return path.replace(/\/[^/]*[:_][^/]*/, "");
}

function mortal(client: ServiceClient): ServiceClient {
  return {
    close: () => client.close(),
    async call(call) {
      const name = nameOf(call.path);
      die(`before:${name}`);
      const answer = await client.call(call);
      die(`after:${name}`);
      return answer;
    },
  };
}

const orders = createOrdersSlice({ afterStep: (_id, moment) => die(`step:${moment}`) });
const definition: SliceDefinition = {
  name: "orders",
  build(context) {
    const { inventory, payments } = context.clients;
    const clients = { ...context.clients, inventory: mortal(inventory), payments: mortal(payments) };
    // The workers stay out: this process is there to die in the middle of a request.
    return { ...orders.build({ ...context, clients }), workers: [] };
  },
};
const redis = createRedis({ url: env.REDIS_URL, log });
const kafka = createKafka({ brokers: env.KAFKA_BROKERS.split(","), clientId: env.CELL, log });
const slice = await startSlice(definition, { env, raw, redis, kafka }, new Map());
process.stdout.write(`ready ${slice.port}\n`);
