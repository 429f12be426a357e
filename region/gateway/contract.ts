import { z } from "zod";
import { MAX_PAGE, orderAnswer } from "../../cell/orders/contract.ts";
import { notificationAnswer } from "../../cell/payments/contract.ts";
import { defineRoute, ROLES, type Route } from "../../platform/http.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { notificationSchema } from "../psp-sandbox/contract.ts";

export const livenessAnswer = z.object({ ok: z.boolean(), checks: z.record(z.string(), z.string()) });

export const readinessAnswer = livenessAnswer.extend({
  routingTable: z.object({
    version: z.int().nullable(),
    /** Where the table in use was last confirmed. */
    from: z.enum(["disk", "api-server", "file"]).nullable(),
    sourceHeardSecondsAgo: z.int().nullable(),
  }),
});

export const historyQuery = z.object({
  /** `nextCursor` of the page before. */
  cursor: z
    .string()
    .regex(/^[0-9a-f-]{36}$/, "the nextCursor of the last page")
    .optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).optional(),
});
export const historyAnswer = z.object({
  orders: z.array(orderAnswer).max(MAX_PAGE),
  nextCursor: z.string().optional(),
  /** Some centers could not be asked in time, and what is there is not in the page. */
  partial: z.boolean(),
  missing: z.array(z.string()),
});

/** The server answers these in front of all routing; here they are described. */
const described = (
  path: string,
  summary: string,
  responses: Route["responses"],
  access: Route["access"] = "public",
  query?: Route["query"],
): Route =>
  defineRoute({
    method: "GET",
    path,
    summary,
    access,
    responses,
    ...(query ? { query } : {}),
    handler: () => Promise.reject(new Error(`${path} is answered by the gateway itself`)),
  });

/** What the gateway answers itself. */
export const OWN_ROUTES: readonly Route[] = [
  described("/livez", "Whether the process runs.", { 200: livenessAnswer, 503: livenessAnswer }),
  described("/readyz", "Whether it can route, and by which table.", {
    200: readinessAnswer,
    503: readinessAnswer,
  }),
  described("/metrics", "Metrics in the text format of Prometheus.", { 200: undefined }),
  described("/openapi.json", "This document.", { 200: z.record(z.string(), z.unknown()) }),
  defineRoute({
    method: "POST",
    path: "/v1/webhooks/payments/:center",
    summary:
      "What the payment processor tells a center, signed in x-webhook-signature with the secret of that center.",
    access: "public",
    idempotency: "none",
    body: notificationSchema,
    responses: { 200: notificationAnswer },
    handler: () => Promise.reject(new Error("a webhook is passed on by webhooks.ts")),
  }),
  described(
    "/v1/orders",
    "One's own orders at all centers, newest first.",
    { 200: historyAnswer },
    { roles: ["customer"] },
    historyQuery,
  ),
  ...SLICE_NAMES.map((slice) =>
    described(
      `/v1/centers/:center/${slice}/openapi.json`,
      `The document of ${slice} as its cell runs it.`,
      { 200: z.record(z.string(), z.unknown()) },
      { roles: ROLES },
    ),
  ),
];
