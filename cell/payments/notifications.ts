import type { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import { readBodyAs } from "../../platform/request.ts";
import type { Sql } from "../../platform/sql.ts";
import { verifyWebhook } from "../../platform/webhook.ts";
import { type Entry, type Notification, notificationSchema } from "../../region/psp-sandbox/contract.ts";
import type { NotificationAnswer } from "./contract.ts";
import { insertNotification } from "./notificationstore.ts";
import { settle } from "./operations.ts";
import { findIntent, findOperation, type Intent, type Operation } from "./store.ts";

/** A webhook as it came in. */
export interface Incoming {
  readonly signature: string | undefined;
  readonly rawBody: string;
  readonly contentType: string | undefined;
}

export type NotificationResult = { readonly ok: true; readonly answer: NotificationAnswer } | Failure;

export interface NotificationsDeps {
  readonly sql: Sql;
  /** What the processor may sign with; read anew when it changes. */
  secrets(): Promise<readonly string[]>;
  /** The center's name at the processor. */
  readonly merchant: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Takes what the processor tells of its own accord. */
export interface Notifications {
  /** Who signed comes first, then what it says; it ends a movement the same way as the answer to a request does, once. */
  receive(incoming: Incoming): Promise<NotificationResult>;
}

const KINDS: Readonly<Record<Operation["kind"], Entry["kind"]>> = {
  authorize: "authorization",
  capture: "capture",
  void: "void",
  refund: "refund",
};

/** Makes the receiving end. */
export function createNotifications(deps: NotificationsDeps): Notifications {
  const { sql, merchant, clock, log, metrics } = deps;
  const taken = metrics.counter("payments_notifications_total", "Webhooks of the processor.", ["outcome"]);

  async function admit({ signature, rawBody }: Incoming): Promise<Failure | undefined> {
    const secrets = await deps.secrets();
    if (secrets.length === 0) {
      taken.inc({ outcome: "not-set-up" });
      return fail(
        "unavailable",
        "This center has no secret for webhooks of the processor yet.",
        undefined,
        60,
      );
    }
    const nowSeconds = Math.floor(clock.nowMs() / 1000);
    const verdict = verifyWebhook({ secrets, header: signature, body: rawBody, nowSeconds });
    if (verdict === "good") return undefined;
    taken.inc({ outcome: verdict });
    if (verdict === "stale")
      return fail(
        "unauthenticated",
        "The signature is too old or from the future: sign the body again and send it now.",
      );
    return fail("unauthenticated", "Sign the body with the secret of this center; nothing was changed.");
  }

  async function apply(event: Notification): Promise<NotificationResult> {
    const { entry } = event;
    return sql.transaction(async (tx): Promise<NotificationResult> => {
      const operation = await findOperation(tx, entry.key);
      const intent = operation && (await findIntent(tx, operation.intentId));
      if (!operation || !intent) return { ok: true, answer: { outcome: "unknown" } };
      const difference = differenceOf(event, operation, intent, merchant);
      if (difference !== undefined)
        return fail(
          "unprocessable",
          `${difference} is not what was asked for under this key; nothing was changed.`,
        );
      if (!(await insertNotification(tx, event.id, event.type, operation.id)))
        return { ok: true, answer: { outcome: "known" } };
      const answer = { kind: "done", status: entry.status, reason: entry.reason } as const;
      const hasEnded = await settle(tx, operation, answer);
      return { ok: true, answer: { outcome: hasEnded ? "applied" : "known" } };
    });
  }

  return {
    async receive(incoming) {
      const refusal = await admit(incoming);
      if (refusal) return refusal;
      const schema: z.ZodType<Notification> = notificationSchema;
      const read = readBodyAs(schema, incoming.rawBody, incoming.contentType, "refused");
      if (!read.ok) {
        taken.inc({ outcome: "unreadable" });
        return read;
      }
      const result = await apply(read.body);
      const outcome = result.ok ? result.answer.outcome : "mismatch";
      taken.inc({ outcome });
      const fields = { event: read.body.id, type: read.body.type, operationId: read.body.entry.key };
      if (outcome === "unknown")
        log.error(fields, "the processor tells of a movement that nobody here has asked for");
      if (outcome === "mismatch")
        log.error(fields, "the processor tells of another movement than was asked for");
      return result;
    },
  };
}

/** What of an event does not fit the movement under its key; undefined when all does. */
function differenceOf(
  { type, entry }: Notification,
  operation: Operation,
  intent: Intent,
  merchant: string,
): string | undefined {
  if (entry.merchant !== merchant) return "The merchant";
  if (entry.kind !== KINDS[operation.kind] || type !== `${entry.kind}.${entry.status}`)
    return "The kind of movement";
  // The void of an authorization that never arrived moves nothing, and the processor does not know its currency.
  if (operation.kind === "void") return undefined;
  if (entry.amount.currency !== intent.currency) return "The currency";
  return entry.amount.amountMinor === operation.amountMinor ? undefined : "The amount";
}
