import { flushCompileCache } from "node:module";
import { createOrdersSlice } from "../cell/orders/slice.ts";
import { parseRoles, SLICES } from "../cell/roles.ts";
import { serve } from "../cell/serve.ts";
import type { ServiceClient } from "../platform/fetch.ts";
import { fail } from "../platform/problem.ts";
import type { SliceDefinition } from "../platform/slice.ts";
import type { SliceName } from "../platform/slices.ts";
import { createRecorder, recorded } from "./recorder.ts";

/**
 * `node cell/main.ts ROLES` with its calls to inventory written to RECORD_TO. With DIE_AT it kills itself when an order comes to that
 * moment, without any chance to clean up; with FAIL_AT the step of that position is refused without being asked.
 */
const { RECORD_TO = "", PROCESS_NAME = "cell", DIE_AT, FAIL_AT } = process.env;
const record = createRecorder(RECORD_TO, PROCESS_NAME);

function reached(moment: string): void {
  if (DIE_AT !== moment) return;
  record({ what: "asked", call: "killed-at", key: moment });
  process.kill(process.pid, "SIGKILL");
}

/** Where each order is now; the victim of a kill sees but a few. */
const moments = new Map<string, string>();

function victim(): SliceDefinition {
  const orders = createOrdersSlice({
    afterStep(id, moment) {
      moments.set(id, moment);
      reached(moment);
    },
  });
  return {
    name: "orders",
    build(context) {
      const { inventory, payments } = context.clients;
      const clients = { ...context.clients, inventory: mortal(inventory), payments: mortal(payments) };
      // It takes over nobody's orders, and nobody's events: a member of a group that dies every few seconds holds up all the others,
      // because Kafka waits for each until its session is over.
      return { ...orders.build({ ...context, clients }), workers: [], subscriptions: [] };
    },
  };
}

function mortal(client: ServiceClient): ServiceClient {
  return {
    close: () => client.close(),
    async call(call) {
      const [orderId = ""] = (call.idempotencyKey ?? "").split(":");
      const moment = moments.get(orderId) ?? "forward:0";
      if (FAIL_AT !== undefined && moment === `forward:${FAIL_AT}`)
        return fail("out-of-stock", "Refused by the plan of the run.");
      const answer = await client.call(call);
      reached(`answered:${moment}`);
      return answer;
    },
  };
}

const names = parseRoles(process.argv[2] ?? "");
if (!names) throw new Error("usage: node soak/cell.ts <slice>[,<slice>…]");
const slices = DIE_AT === undefined ? SLICES : { ...SLICES, orders: victim() };
const wrapped = Object.fromEntries(
  Object.values(slices).map((slice) => [slice.name, recorded(slice, record)]),
) as Record<SliceName, SliceDefinition>;
await serve(names, wrapped);
// By itself it is written at the end of a process, and these are killed.
flushCompileCache();
