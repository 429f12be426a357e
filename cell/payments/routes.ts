import { accepted, created, defineRoute, type HttpResult, ok, type Route } from "../../platform/http.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import { SIGNATURE_HEADER } from "../../platform/webhook.ts";
import {
  type CaptureBody,
  captureBody,
  commandIdSchema,
  type IntentBody,
  intentAnswer,
  intentBody,
  notificationAnswer,
  type RefundBody,
  type ReviewBody,
  type ReviewsQuery,
  refundBody,
  reviewBody,
  reviewsAnswer,
  reviewsQuery,
} from "./contract.ts";
import type { Notifications } from "./notifications.ts";
import type { Reviews } from "./reviews.ts";
import type { IntentResult, PaymentsService } from "./service.ts";

export interface RouteDeps {
  readonly payments: PaymentsService;
  readonly notifications: Notifications;
  readonly reviews: Reviews;
}

/** HTTP to the service. All commands are idempotent by their own ids. */
export function createRoutes({ payments, notifications, reviews }: RouteDeps): Route[] {
  const common = { access: "internal", idempotency: "none", cards: "refused" } as const;
  return [
    defineRoute<IntentBody>({
      ...common,
      method: "POST",
      path: "/internal/intents",
      summary: "Authorises the money of an order; `unknown` means: ask again with the same body",
      body: intentBody,
      responses: { 201: intentAnswer },
      async handler({ body }) {
        const result = await payments.authorize(body);
        return result.ok ? created(result.intent) : result;
      },
    }),
    defineRoute<CaptureBody>({
      ...common,
      method: "POST",
      path: "/internal/intents/:intentId/capture",
      summary: "Takes on a capture; it is carried out when the processor can be reached",
      body: captureBody,
      responses: { 202: intentAnswer },
      handler: ({ params, body }) => withIntent(params, (id) => payments.capture(id, body), accepted),
    }),
    defineRoute({
      ...common,
      method: "POST",
      path: "/internal/intents/:intentId/void",
      summary: "Gives the reserved money back; an intent that was never made is closed for ever",
      responses: { 202: intentAnswer },
      handler: ({ params }) => withIntent(params, (id) => payments.void(id), accepted),
    }),
    defineRoute<RefundBody>({
      ...common,
      method: "POST",
      path: "/internal/intents/:intentId/refund",
      summary: "Takes on a refund of captured money",
      body: refundBody,
      responses: { 202: intentAnswer },
      handler: ({ params, body }) => withIntent(params, (id) => payments.refund(id, body), accepted),
    }),
    defineRoute({
      method: "GET",
      path: "/internal/intents/:intentId",
      summary: "Where the money of an order is",
      access: "internal",
      responses: { 200: intentAnswer },
      handler: ({ params }) => withIntent(params, (id) => payments.find(id), ok),
    }),
    defineRoute<ReviewBody>({
      ...common,
      method: "POST",
      path: "/internal/intents/:intentId/review",
      summary: "A person's decision on a payment that is held; decided once",
      body: reviewBody,
      responses: { 200: intentAnswer },
      handler: ({ params, body }) => withIntent(params, (id) => payments.review(id, body), ok),
    }),
    defineRoute({
      method: "GET",
      path: "/internal/reviews",
      summary: "Payments that wait for a person, those first that run out first",
      access: "internal",
      query: reviewsQuery,
      responses: { 200: reviewsAnswer },
      handler: async ({ query }) => ok(await reviews.list(query as unknown as ReviewsQuery)),
    }),
    // No schema here: nothing of the body is looked at before its signature.
    defineRoute({
      ...common,
      method: "POST",
      path: "/internal/webhooks/processor",
      summary: "What the processor tells of its own accord, signed; the same event again changes nothing",
      responses: { 200: notificationAnswer },
      async handler({ headers, rawBody }) {
        const result = await notifications.receive({
          rawBody,
          signature: headers[SIGNATURE_HEADER],
          contentType: headers["content-type"],
        });
        return result.ok ? ok(result.answer) : result;
      },
    }),
  ];
}

async function withIntent(
  params: Readonly<Record<string, string>>,
  run: (intentId: string) => Promise<IntentResult>,
  answer: (body: unknown) => HttpResult,
): Promise<HttpResult | Failure> {
  const id = commandIdSchema.safeParse(params.intentId);
  if (!id.success) return fail("invalid-request", "The intent id is not valid.");
  const result = await run(id.data);
  return result.ok ? answer(result.intent) : result;
}
