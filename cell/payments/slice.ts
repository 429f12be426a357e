import { join } from "node:path";
import { ConfigError } from "../../platform/config.ts";
import { WEBHOOK_SECRETS } from "../../platform/credentials.ts";
import { createServiceClient } from "../../platform/fetch.ts";
import type { BuiltSlice, SliceContext, SliceDefinition } from "../../platform/slice.ts";
import { createNotifications } from "./notifications.ts";
import { sweepNotifications } from "./notificationstore.ts";
import { createOperations } from "./operations.ts";
import { createProcessorPort } from "./processor.ts";
import { createReviews } from "./reviews.ts";
import { openReviews } from "./reviewstore.ts";
import { createRoutes } from "./routes.ts";
import { createSecretReader } from "./secrets.ts";
import { createPaymentsService } from "./service.ts";

/** The money of orders: authorizations, captures, voids and refunds, and the queue of what the processor has yet to do. */
export const paymentsSlice: SliceDefinition = { name: "payments", build };

/** Below the time that callers give this slice, so that they hear `unknown` and not silence. */
const PROCESSOR_TIMEOUT_MS = 3_000;
const QUEUE_INTERVAL_MS = 150;
const MEASURE_INTERVAL_MS = 5_000;
const REVIEW_INTERVAL_MS = 2_000;
const SWEEP_INTERVAL_MS = 60_000;
const SWEEP_ROWS = 1_000;

function build(context: SliceContext): BuiltSlice {
  const { sql, log, metrics, env, center, random, clock } = context;
  if (env.PSP_URL === "") throw new ConfigError("PSP_URL: set it to the base URL of the payment processor");
  const client = createServiceClient({
    name: "psp",
    baseUrl: env.PSP_URL,
    metrics,
    timeoutMs: PROCESSOR_TIMEOUT_MS,
    maxInFlight: 128,
  });
  const processor = createProcessorPort(client, center);
  const operations = createOperations({ sql, processor, log, metrics, random });
  const secrets = createSecretReader(join(env.TRUST_DIR, WEBHOOK_SECRETS), clock);
  const notifications = createNotifications({ sql, secrets, merchant: center, clock, log, metrics });
  const policy = { highValueMinor: env.HIGH_VALUE_MINOR, reviewScore: env.REVIEW_SCORE };
  const reviews = createReviews({ sql, policy });
  const payments = createPaymentsService({ sql, operations, reviews, reviewHours: env.REVIEW_HOURS });
  const open = metrics.gauge("payments_reviews_open", "Payments that wait for a person, up to 1,000.");
  return {
    routes: createRoutes({ payments, notifications, reviews }),
    subscriptions: [],
    workers: [
      {
        name: "movements",
        intervalMs: QUEUE_INTERVAL_MS,
        async run(signal) {
          while ((await operations.runDue()) > 0 && !signal.aborted);
        },
      },
      {
        name: "forget-notifications",
        intervalMs: SWEEP_INTERVAL_MS,
        async run(signal) {
          while ((await sweepNotifications(sql, SWEEP_ROWS)) === SWEEP_ROWS && !signal.aborted);
        },
      },
      {
        name: "reviews",
        intervalMs: REVIEW_INTERVAL_MS,
        async run(signal) {
          while ((await reviews.refuseDue()) > 0 && !signal.aborted);
          open.set({}, await openReviews(sql));
        },
      },
      { name: "queue-length", intervalMs: MEASURE_INTERVAL_MS, run: () => operations.measure() },
    ],
    stop: () => client.close(),
  };
}
