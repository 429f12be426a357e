import { z } from "zod";
import {
  created,
  defineRoute,
  type HttpRequest,
  type HttpResult,
  ok,
  type Route,
} from "../../platform/http.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import {
  type AuthorizationBody,
  authorizationBody,
  type CaptureBody,
  captureBody,
  entrySchema,
  type FaultBody,
  faultAnswer,
  faultBody,
  keySchema,
  ledgerAnswer,
  type Manner,
  mannerBody,
  merchantSchema,
  type RefundBody,
  referenceSchema,
  refundBody,
  type VoidBody,
  voidBody,
} from "./contract.ts";
import type { Faults } from "./faults.ts";
import type { Notifications } from "./notifications.ts";
import type { Moved, Processor } from "./service.ts";
import { type LedgerFilter, readLedger } from "./store.ts";

export interface RouteDeps {
  readonly processor: Processor;
  readonly faults: Faults;
  readonly notifications: Notifications;
  readonly sql: Parameters<typeof readLedger>[0];
}

const PAGE = 500;
const SLOW_MS = 1_500;
/** How long a request whose answer is swallowed stays open: longer than any client waits. */
const SILENCE_MS = 20_000;

const ledgerQuery = z.object({
  merchant: merchantSchema.optional(),
  reference: referenceSchema.optional(),
  cursor: z
    .string()
    .regex(/^\d{1,16}\|[\x21-\x7e]{1,200}$/, "the nextCursor of the last page")
    .optional(),
});

/** The processor's API, and how to make it fail. Movements are idempotent by the merchant's own keys. */
export function createRoutes(deps: RouteDeps): Route[] {
  return [...movementRoutes(deps), ...bookRoutes(deps)];
}

function movementRoutes(deps: RouteDeps): Route[] {
  const { processor, faults } = deps;
  const common = {
    access: "public",
    idempotency: "none",
    responses: { 201: entrySchema, 200: entrySchema },
  } as const;
  return [
    defineRoute<AuthorizationBody>({
      ...common,
      method: "POST",
      path: "/v1/authorizations",
      summary: "Reserves money on a payment method",
      body: authorizationBody,
      handler: (request) =>
        underFaults(deps, request, async () =>
          processor.authorize(request.body, await faults.hits("decline")),
        ),
    }),
    defineRoute<CaptureBody>({
      ...common,
      method: "POST",
      path: "/v1/captures",
      summary: "Takes reserved money, in one part or several",
      body: captureBody,
      handler: (request) => underFaults(deps, request, () => processor.capture(request.body)),
    }),
    defineRoute<VoidBody>({
      ...common,
      method: "POST",
      path: "/v1/voids",
      summary: "Gives reserved money back before it is taken",
      body: voidBody,
      handler: (request) => underFaults(deps, request, () => processor.void(request.body)),
    }),
    defineRoute<RefundBody>({
      ...common,
      method: "POST",
      path: "/v1/refunds",
      summary: "Gives taken money back, in one part or several",
      body: refundBody,
      handler: (request) => underFaults(deps, request, () => processor.refund(request.body)),
    }),
  ];
}

function bookRoutes({ processor, faults, notifications, sql }: RouteDeps): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/v1/by-key/:key",
      summary: "What became of a movement whose answer was lost",
      access: "public",
      responses: { 200: entrySchema },
      async handler(request) {
        if (await faults.hits("down")) return cut(request);
        if (await faults.hits("slow")) await pause(SLOW_MS, request.signal);
        const key = keySchema.safeParse(request.params.key);
        const entry = key.success ? await processor.find(key.data) : undefined;
        return entry ? ok(entry) : fail("not-found", "Nothing has been done under this key.");
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/ledger",
      summary: "All movements, oldest first, with totals",
      access: "public",
      query: ledgerQuery,
      responses: { 200: ledgerAnswer },
      handler: async ({ query }) =>
        ok(await readLedger(sql, { ...(query as Omit<LedgerFilter, "limit">), limit: PAGE })),
    }),
    defineRoute<FaultBody>({
      method: "POST",
      path: "/v1/faults",
      summary: "Makes the processor fail for a while; forSeconds 0 ends it",
      access: "public",
      idempotency: "none",
      body: faultBody as z.ZodType<FaultBody>,
      responses: { 200: faultAnswer },
      async handler({ body }) {
        const until = await faults.set(body);
        return ok({ kind: body.kind, until: until.toISOString() });
      },
    }),
    defineRoute<Manner>({
      method: "POST",
      path: "/v1/manner",
      summary: "How merchants are notified from now on: how often, how late, in which order",
      access: "public",
      idempotency: "none",
      body: mannerBody as z.ZodType<Manner>,
      responses: { 200: mannerBody },
      async handler({ body }) {
        await notifications.setManner(body);
        return ok(body);
      },
    }),
  ];
}

async function underFaults(
  { faults, notifications }: RouteDeps,
  request: HttpRequest,
  move: () => Promise<Moved>,
): Promise<HttpResult | Failure> {
  if (await faults.hits("down")) return cut(request);
  if (await faults.hits("slow")) await pause(SLOW_MS, request.signal);
  const moved = await move();
  if (await faults.hits("timeout_after_effect")) {
    await pause(SILENCE_MS, request.signal);
    return cut(request);
  }
  const { answerDelayMs } = await notifications.manner();
  if (answerDelayMs > 0) await pause(answerDelayMs, request.signal);
  if (!moved.ok) return moved;
  if (!moved.repeated) return created(moved.entry);
  return ok(moved.entry, { "idempotent-replayed": "true" });
}

/** Ends the connection without a word, as a crash would. */
function cut(request: HttpRequest): Failure {
  request.raw.req.socket.destroy();
  return fail("processor-unavailable", "The processor is made to be down.");
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
