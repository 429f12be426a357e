import type { Answer, ServiceClient } from "../../platform/fetch.ts";
import type { Failure } from "../../platform/problem.ts";
import { type Entry, entrySchema } from "../../region/psp-sandbox/contract.ts";
import type { Intent, Operation } from "./store.ts";
import { moneyOf, operationIdOf } from "./store.ts";

/**
 * What an attempt at the processor came to. `no-answer`: it may or may not have been done, so the same key is
 * asked again. `refused`: it will never be done.
 */
export type ProcessorAnswer =
  | { readonly kind: "done"; readonly status: Entry["status"]; readonly reason?: string | undefined }
  | { readonly kind: "no-answer"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

/** The payment processor as this slice uses it. */
export interface ProcessorPort {
  perform(operation: Operation, intent: Intent): Promise<ProcessorAnswer>;
}

const PATHS = {
  authorize: "/v1/authorizations",
  capture: "/v1/captures",
  void: "/v1/voids",
  refund: "/v1/refunds",
} as const;

/** Codes that say "never", as far as this movement goes; all others may pass. */
const NEVER: ReadonlySet<string> = new Set([
  "invalid-request",
  "unprocessable",
  "idempotency-key-reused",
  "not-found",
  "forbidden",
  "payload-too-large",
]);

/** Speaks with the processor; `merchant` is the center. */
export function createProcessorPort(client: ServiceClient, merchant: string): ProcessorPort {
  return {
    async perform(operation, intent) {
      if (operation.attempts > 1) {
        // An earlier attempt may have been done although its answer was lost: ask before sending again.
        const asked = await client.call({
          method: "GET",
          path: `/v1/by-key/${encodeURIComponent(operation.id)}`,
          response: entrySchema,
        });
        if (asked.ok) return read(asked);
        // Only "nothing is there" says that sending is safe; any other answer says nothing about the movement.
        if (asked.code !== "not-found") return noAnswer(asked);
      }
      const result = await client.call({
        method: "POST",
        path: PATHS[operation.kind],
        body: bodyOf(operation, intent, merchant),
        idempotencyKey: operation.id,
        response: entrySchema,
      });
      return read(result);
    },
  };
}

function read(result: Answer<Entry> | Failure): ProcessorAnswer {
  if (result.ok) return { kind: "done", status: result.body.status, reason: result.body.reason };
  return NEVER.has(result.code) ? { kind: "refused", reason: reasonOf(result) } : noAnswer(result);
}

function noAnswer(failure: Failure): ProcessorAnswer {
  return { kind: "no-answer", reason: reasonOf(failure) };
}

const reasonOf = (failure: Failure): string => `${failure.code}: ${failure.detail}`;

function bodyOf(operation: Operation, intent: Intent, merchant: string): Record<string, unknown> {
  const authorizationKey = operationIdOf(intent.id, "authorize");
  const amount = moneyOf(intent, operation.amountMinor);
  switch (operation.kind) {
    case "authorize":
      return { key: operation.id, amount, method: intent.method, merchant, reference: intent.orderId };
    case "void":
      return { key: operation.id, authorizationKey, merchant };
    case "capture":
    case "refund":
      return { key: operation.id, authorizationKey, amount };
  }
}
