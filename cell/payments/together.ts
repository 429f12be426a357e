import { appendEvents } from "../../platform/outbox.ts";
import type { Failure } from "../../platform/problem.ts";
import type { Tx } from "../../platform/sql.ts";
import { paymentAuthorised } from "./contract.ts";
import { next } from "./domain.ts";
import type { ProcessorAnswer } from "./processor.ts";
import { notePayers } from "./reviewstore.ts";
import {
  changeStatuses,
  endOperations,
  type Intent,
  insertClaimed,
  insertIntents,
  lockIntents,
  lockPending,
  moneyOf,
  type NewIntent,
  type Operation,
  operationIdOf,
  SCHEMA,
} from "./store.ts";

/** An authorization that is to be asked of the processor, with its intent as it was written. */
export interface Begun {
  readonly operation: Operation;
  readonly intent: Intent;
}

/** One attempt's outcome. */
export interface Attempted {
  readonly operation: Operation;
  readonly answer: ProcessorAnswer;
  readonly delayMs: number;
  /** Trace of the request behind it, for the event. */
  readonly traceparent?: string | undefined;
}

/** Notes new intents with their authorizations and who pays, a statement each; an intent that is there already goes through `one`. */
export async function beginAll(
  tx: Tx,
  bodies: readonly NewIntent[],
  reviewHours: number,
  one: (tx: Tx, body: NewIntent) => Promise<Begun | Failure | undefined>,
): Promise<(Begun | Failure | undefined)[]> {
  const made = await insertIntents(tx, bodies, "authorising", reviewHours);
  const intents = new Map(made.map((intent) => [intent.id, intent]));
  const noting = notePayers(
    tx,
    made.flatMap(({ risk }) => (risk ? [risk.customer] : [])),
  );
  const claiming = made.length > 0 ? insertClaimed(tx, made.map(authorizationFor)) : [];
  const [operations] = await Promise.all([claiming, noting]);
  const claimed = new Map(operations.map((operation) => [operation.intentId, operation]));
  const results: (Begun | Failure | undefined)[] = [];
  for (const body of bodies) {
    const intent = intents.get(body.intentId);
    const operation = claimed.get(body.intentId);
    // The same intent twice: the second finds what the first has written.
    intents.delete(body.intentId);
    results.push(intent && operation ? { intent, operation } : await one(tx, body));
  }
  return results;
}

function authorizationFor({ id, amountMinor }: Intent) {
  return { id: operationIdOf(id, "authorize"), intentId: id, kind: "authorize", amountMinor } as const;
}

/**
 * Writes outcomes: approved authorizations in the statements of one, anything else through `one`. Answers the intents of the former as
 * they are now.
 */
export async function settleAll(
  tx: Tx,
  attempts: readonly Attempted[],
  one: (tx: Tx, attempted: Attempted) => Promise<unknown>,
): Promise<(Intent | undefined)[]> {
  const approved = attempts.filter(isApproved);
  const settled = await settleApproved(tx, approved);
  const results: (Intent | undefined)[] = [];
  for (const attempted of attempts) {
    const intent = settled.get(attempted);
    if (!intent) await one(tx, attempted);
    results.push(intent);
  }
  return results;
}

function isApproved({ operation, answer }: Attempted): boolean {
  return operation.kind === "authorize" && answer.kind === "done" && answer.status === "approved";
}

/** Those whose intents still wait for this answer. Their operations end once, and only what ended one changes an intent. */
async function settleApproved(
  tx: Tx,
  attempts: readonly Attempted[],
): Promise<ReadonlyMap<Attempted, Intent>> {
  if (attempts.length === 0) return new Map();
  const [locked, pending] = await Promise.all([
    lockIntents(
      tx,
      attempts.map(({ operation }) => operation.intentId),
    ),
    lockPending(
      tx,
      attempts.map(({ operation }) => operation.id),
    ),
  ]);
  const open = new Map(
    locked
      .filter(({ status }) => next(status, "auth.ok") === "authorised")
      .map((intent) => [intent.id, intent]),
  );
  const ending = new Map<string, { readonly attempted: Attempted; readonly intent: Intent }>();
  for (const attempted of attempts) {
    const intent = open.get(attempted.operation.intentId);
    if (intent && pending.has(attempted.operation.id)) ending.set(intent.id, { attempted, intent });
  }
  if (ending.size === 0) return new Map();
  const events = [...ending.values()].map(({ intent, attempted }) => ({
    ...{ type: paymentAuthorised.type, subject: intent.orderId, version: intent.version + 1 },
    ...{
      data: { orderId: intent.orderId, intentId: intent.id, amount: moneyOf(intent, intent.amountMinor) },
    },
    traceparent: attempted.traceparent,
  }));
  // All rows are locked, so none of these can come out otherwise than it was decided.
  const [intents] = await Promise.all([
    changeStatuses(tx, [...ending.keys()], "authorised"),
    endOperations(
      tx,
      [...ending.values()].map(({ attempted }) => attempted.operation.id),
    ),
    appendEvents(tx, SCHEMA, events),
  ]);
  return new Map(
    intents.flatMap((intent) => {
      const ended = ending.get(intent.id);
      return ended ? [[ended.attempted, intent] as const] : [];
    }),
  );
}
