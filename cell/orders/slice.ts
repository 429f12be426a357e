import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BuiltSlice, SliceContext, SliceDefinition } from "../../platform/slice.ts";
import type { Worker } from "../../platform/workers.ts";
import { createAdmission } from "./admission.ts";
import { createContacts } from "./contacts.ts";
import { createCutting } from "./cutting.ts";
import { createDeliveries } from "./delivery.ts";
import { runEffects } from "./effects.ts";
import { createSubscriptions } from "./events.ts";
import { sweepClosedKeys } from "./keys.ts";
import { buryOverdue } from "./overdue.ts";
import { createPlacing } from "./placing.ts";
import { createRefunds } from "./refunds.ts";
import { createReturns } from "./returns.ts";
import { createRoutes } from "./routes.ts";
import { createOrdersService } from "./service.ts";
import { createSettling } from "./settling.ts";
import { createSummary } from "./summary.ts";

/** What a test may hang into the slice. */
export interface OrdersHooks {
  /** Called after each durable step of a saga; the id of one that places an order is the order's. */
  afterStep?(sagaId: string, moment: string): void;
}

/** The order and its state: the only writer of both. */
export const ordersSlice: SliceDefinition = createOrdersSlice({});

/** The same slice with hooks. */
export function createOrdersSlice(hooks: OrdersHooks): SliceDefinition {
  return { name: "orders", build: (context) => build(context, hooks) };
}

const SAGAS_PER_ROUND = 20;
const CLOSED_KEYS_PER_ROUND = 1_000;
const OVERDUE_PER_ROUND = 100;

function build(context: SliceContext, hooks: OrdersHooks): BuiltSlice {
  const { center, sql, clients, env, clock, log, signer, epoch, holder } = context;
  const { inventory, payments } = clients;
  const saga = createPlacing({ sql, inventory, payments, holder, log, ...hooks });
  const admission = createAdmission(env.MAX_ORDERS_PER_MINUTE, clock);
  const contacts = createContacts(contactSecret(env.TRUST_DIR));
  const service = createOrdersService({
    center,
    sql,
    saga,
    signer,
    clock,
    log,
    contacts,
    currency: env.CURRENCY,
    promiseMinutes: env.SERVICE_LEVEL_MINUTES,
    newOrderId: () => context.newId("ord"),
    admit: admission.admit,
  });
  const summary = createSummary({
    center,
    epoch,
    sql,
    inventory,
    clock,
    maxOrdersPerMinute: env.MAX_ORDERS_PER_MINUTE,
    admitting: admission.admitting,
  });
  const cutting = createCutting({ sql, inventory, holder, clock, log, ...hooks });
  const settling = createSettling({ sql, inventory, payments, holder, log, ...hooks });
  const returns = createReturns({
    sql,
    log,
    returnDays: env.RETURN_DAYS,
    newReturnId: () => context.newId("ret"),
    settle: settling.startReturn,
    carryOut: (id) => settling.carryOut("returns", id),
  });
  const deliveries = createDeliveries({
    sql,
    contacts,
    log,
    centerAt: { latitude: env.CENTER_LATITUDE, longitude: env.CENTER_LONGITUDE },
    promiseMinutes: env.SERVICE_LEVEL_MINUTES,
  });
  const refunds = createRefunds({
    sql,
    start: settling.startRefund,
    carryOut: (id) => settling.carryOut("refunds", id),
  });
  const workers: Worker[] = [
    {
      name: "sagas",
      intervalMs: 500,
      async run() {
        await saga.resume(SAGAS_PER_ROUND);
      },
    },
    {
      name: "aftercare",
      intervalMs: 1_000,
      async run() {
        for (const { resume } of [cutting.saga, settling.returns, settling.refunds])
          await resume(SAGAS_PER_ROUND);
      },
    },
    {
      name: "overdue-returns",
      intervalMs: 60_000,
      async run() {
        await returns.expire(OVERDUE_PER_ROUND);
      },
    },
    {
      name: "effects",
      intervalMs: 200,
      async run(signal) {
        while ((await runEffects({ sql, payments, inventory, log })) > 0 && !signal.aborted);
      },
    },
    {
      name: "closed-keys",
      intervalMs: 600_000,
      async run() {
        await sweepClosedKeys(sql, CLOSED_KEYS_PER_ROUND);
      },
    },
    {
      name: "parked",
      intervalMs: 60_000,
      async run() {
        await buryOverdue({ sql, limit: OVERDUE_PER_ROUND, bury: context.bury });
      },
    },
  ];
  return {
    routes: createRoutes({ center, service, sql, summary, cutting, deliveries, returns, refunds }),
    subscriptions: createSubscriptions(log),
    workers,
  };
}

/** Contacts' keys are wrapped under a secret that every replica has and nobody else: one of its own, or else the cell's key. */
function contactSecret(trustDir: string): string {
  const own = join(trustDir, "contact-key");
  return readFileSync(existsSync(own) ? own : join(trustDir, "cell-key.jwk"), "utf8");
}
