import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { WEBHOOK_SECRETS } from "../../../platform/credentials.ts";
import { type DomainEvent, fromWire, topicOf } from "../../../platform/events.ts";
import { type Answer, createServiceClient } from "../../../platform/fetch.ts";
import { createKafka } from "../../../platform/kafka.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createMetrics } from "../../../platform/metrics.ts";
import type { Failure } from "../../../platform/problem.ts";
import { startTestCell, type TestCell } from "../../../platform/testing/cell.ts";
import { eventually } from "../../../platform/testing/stores.ts";
import { SIGNATURE_HEADER, signWebhook } from "../../../platform/webhook.ts";
import type { Notification } from "../../../region/psp-sandbox/contract.ts";
import { startTestPsp, type TestPsp } from "../../../region/psp-sandbox/testing/psp.ts";
import type { IntentAnswer, IntentStatus, ReviewsAnswer } from "../contract.ts";
import { createOperations, type Operations } from "../operations.ts";
import { createProcessorPort, type ProcessorPort } from "../processor.ts";
import { paymentsSlice } from "../slice.ts";

/** What the processor of the test signs its webhooks with. */
export const SECRET = "whsec_of-the-test-center";

/** A running payments slice with a real processor behind it. */
export interface TestPayments {
  readonly cell: TestCell;
  readonly psp: TestPsp;
  post(path: string, body?: unknown): Promise<Answer<IntentAnswer> | Failure>;
  /** A body as it is, for what no client would send. */
  send(path: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Told>;
  /** A webhook as the gateway passes it on, signed now unless `headers` say otherwise. */
  tell(body: string, headers?: Readonly<Record<string, string>>): Promise<Told>;
  /** What the processor has sent so far, and what it was answered. */
  readonly told: readonly { readonly event: Notification; readonly refusal: string | undefined }[];
  authorize(intentId: string, amountMinor?: number, more?: object): Promise<Answer<IntentAnswer> | Failure>;
  intent(intentId: string): Promise<IntentAnswer>;
  /** Waits until the intent has this status. */
  until(intentId: string, status: IntentStatus): Promise<IntentAnswer>;
  /** Types of all that was told of an order, each event once, after the outbox has run empty. */
  events(orderId: string): Promise<string[]>;
  /** The same with all that they carry. */
  happened(orderId: string): Promise<DomainEvent[]>;
  /** The queue's worker as another replica runs it; `around` may stand between it and the processor. */
  replica(around?: (port: ProcessorPort) => ProcessorPort): Operations;
  /** Ends the claims on an intent's movements and their waiting, as time would. */
  expireClaims(intentId: string): Promise<void>;
  reviews(query?: string): Promise<ReviewsAnswer>;
  stop(): Promise<void>;
}

/** Status and JSON of an answer. */
export interface Told {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

let readers = 0;

/** An amount in the test center's currency. */
export function won(amountMinor: number): { amountMinor: number; currency: string } {
  return { amountMinor, currency: "KRW" };
}

/** Starts a cell with only the payments slice. */
export async function startPayments(): Promise<TestPayments> {
  const told: { event: Notification; refusal: string | undefined }[] = [];
  const merchant: { tell?: TestPayments["tell"] } = {};
  const psp = await startTestPsp({
    secret: SECRET,
    async deliver(_merchant, event, headers) {
      const answer = await merchant.tell?.(JSON.stringify(event), headers);
      const refusal = answer?.status === 200 ? undefined : `${answer?.status}`;
      told.push({ event, refusal });
      return refusal;
    },
  });
  await psp.manner({ copies: 0 });
  const cell = await startTestCell({ slices: [paymentsSlice], env: { PSP_URL: psp.url } });
  await writeFile(join(cell.trustDir, WEBHOOK_SECRETS), `${SECRET}\n`);
  const { payments } = cell.internal;
  const send: TestPayments["send"] = async (path, body, headers) => {
    const response = await fetch(`${cell.url("payments")}${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${await cell.gatewayToken()}`,
        ...headers,
      },
      body,
    });
    return { status: response.status, body: (await response.json()) as Told["body"] };
  };
  const tell: TestPayments["tell"] = (body, headers) => {
    const signature = signWebhook(SECRET, body, Math.floor(Date.now() / 1000));
    return send("/internal/webhooks/processor", body, headers ?? { [SIGNATURE_HEADER]: signature });
  };
  merchant.tell = tell;
  const log = silentLogger();
  const metrics = createMetrics({ service: "test" });
  const kafka = createKafka({ brokers: String(cell.env.KAFKA_BROKERS).split(","), clientId: "test", log });
  const processor = createServiceClient({ name: "psp", baseUrl: psp.url, metrics, timeoutMs: 3_000 });
  const post: TestPayments["post"] = (path, body = {}) => payments.call({ method: "POST", path, body });

  async function intent(intentId: string): Promise<IntentAnswer> {
    const answer = await payments.call<IntentAnswer>({
      method: "GET",
      path: `/internal/intents/${intentId}`,
    });
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
    return answer.body;
  }

  async function happened(orderId: string): Promise<DomainEvent[]> {
    await eventually(async () => {
      const rows = await cell.sql.query("SELECT 1 FROM payments.outbox WHERE subject = $1", [orderId]);
      return rows.length === 0;
    });
    // The relay may send an event again; its id tells.
    const found = new Map<string, DomainEvent>();
    await kafka.drain({
      group: `test-${cell.center}-${readers++}`,
      topic: topicOf(cell.center, "payments"),
      timeoutMs: 30_000,
      async handler(message) {
        const event = fromWire(message);
        if (event.subject === orderId) found.set(event.id, event);
      },
    });
    return [...found.values()];
  }

  return {
    cell,
    psp,
    post,
    send,
    tell,
    told,
    intent,
    authorize: (intentId, amountMinor = 1_000, more = {}) =>
      post("/internal/intents", {
        intentId,
        orderId: `ord-${intentId}`,
        amount: won(amountMinor),
        method: "tok_visa",
        ...more,
      }),
    until: (intentId, status) =>
      eventually(async () => {
        const found = await intent(intentId);
        return found.status === status && found;
      }),
    happened,
    events: async (orderId) => (await happened(orderId)).map(({ type }) => type),
    replica(around = (port) => port) {
      const port = around(createProcessorPort(processor, cell.center));
      return createOperations({ sql: cell.sql, processor: port, log, metrics, random: Math.random });
    },
    async expireClaims(intentId) {
      await cell.sql.query("UPDATE payments.operation SET next_at = now() WHERE intent_id = $1", [intentId]);
    },
    async reviews(query = "") {
      const answer = await payments.call<ReviewsAnswer>({ method: "GET", path: `/internal/reviews${query}` });
      if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
      return answer.body;
    },
    async stop() {
      await processor.close();
      await kafka.close();
      await cell.stop();
      await psp.stop();
    },
  };
}
