import { createGroup } from "../../platform/group.ts";
import type { Logger } from "../../platform/log.ts";
import type { CounterHandle, Metrics } from "../../platform/metrics.ts";
import { appendEvent } from "../../platform/outbox.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { traceHeaders } from "../../platform/tracing.ts";
import {
  paymentAuthorised,
  paymentCaptured,
  paymentDeclined,
  paymentRefunded,
  paymentVoided,
} from "./contract.ts";
import { type IntentEvent, next, retryDelayMs } from "./domain.ts";
import type { ProcessorAnswer, ProcessorPort } from "./processor.ts";
import { notePaid } from "./reviewstore.ts";
import {
  changeIntent,
  claimDue,
  endOperation,
  findIntent,
  type Intent,
  type IntentChange,
  isAnyDue,
  lockIntent,
  moneyOf,
  type Operation,
  postponeOperation,
  SCHEMA,
  waitingOperations,
} from "./store.ts";
import { type Attempted, settleAll } from "./together.ts";

export interface OperationsDeps {
  readonly sql: Sql;
  readonly processor: ProcessorPort;
  readonly log: Logger;
  readonly metrics: Metrics;
  random(): number;
}

/** Carries movements to the processor and writes down what came of them. */
export interface Operations {
  /**
   * One attempt at an operation that the caller has claimed; `known`: its intent, where the caller has it. Answers the intent as it is
   * now where that is known without looking. Who comes while one is under way here shares it.
   */
  attempt(operation: Operation, known?: Intent): Promise<Intent | undefined>;
  /** Attempts what is due; answers how many that were, and 0 when there is no use in going on now. */
  runDue(): Promise<number>;
  /** Measures the queue. */
  measure(): Promise<void>;
}

const BATCH = 32;
/** So many in a row without an answer, and the processor counts as away: from then on one movement at a time asks whether it is back. */
const AWAY_AFTER = 8;

/** Makes the queue's worker. */
export function createOperations(deps: OperationsDeps): Operations {
  const { sql, processor, log, metrics } = deps;
  const attempts: CounterHandle = metrics.counter(
    "payments_attempts_total",
    "Attempts at the payment processor.",
    ["kind", "outcome"],
  );
  const waiting = metrics.gauge("payments_operations_waiting", "Movements that the processor has yet to do.");
  const oldest = metrics.gauge(
    "payments_operations_oldest_seconds",
    "Age of the oldest movement that the processor has yet to do.",
  );

  const written = createGroup<Attempted, Intent | undefined>({
    sql,
    run: (tx, all) =>
      settleAll(tx, all, (_tx, { operation, answer, delayMs }) => settle(tx, operation, answer, delayMs)),
  });

  let silent = 0;

  const underWay = new Map<string, Promise<Intent | undefined>>();

  /** Twenty callers of one intent are one question: more would only meet each other at the processor's. */
  function attempt(operation: Operation, known?: Intent): Promise<Intent | undefined> {
    const running = underWay.get(operation.id);
    if (running) return running;
    const started = perform(operation, known).finally(() => underWay.delete(operation.id));
    underWay.set(operation.id, started);
    return started;
  }

  async function perform(operation: Operation, known?: Intent): Promise<Intent | undefined> {
    const intent = known ?? (await findIntent(sql, operation.intentId));
    if (!intent) throw new Error(`operation ${operation.id} has no intent`);
    const answer = await processor.perform(operation, intent);
    silent = answer.kind === "no-answer" ? silent + 1 : 0;
    attempts.inc({ kind: operation.kind, outcome: answer.kind });
    const fields = { operationId: operation.id, attempts: operation.attempts };
    if (answer.kind === "no-answer")
      log.warn({ ...fields, reason: answer.reason }, "the processor did not answer; it is asked again");
    if (answer.kind === "refused")
      log.error({ ...fields, reason: answer.reason }, "the processor has refused a movement");
    const delayMs = retryDelayMs(operation.attempts, deps.random());
    return written({ operation, answer, delayMs, ...traceHeaders() });
  }

  return {
    attempt,
    async runDue() {
      if (!(await isAnyDue(sql))) return 0;
      const isAway = silent >= AWAY_AFTER;
      const due = await sql.transaction((tx) => claimDue(tx, isAway ? 1 : BATCH));
      const results = await Promise.allSettled(due.map((operation) => attempt(operation)));
      // All of them have run; one that threw is claimed again when its claim has run out.
      for (const result of results) if (result.status === "rejected") throw result.reason;
      // A queue of any length costs a processor that is away, and our database, one question for each pause of the worker.
      return silent >= AWAY_AFTER ? 0 : due.length;
    },
    async measure() {
      const queue = await waitingOperations(sql);
      waiting.set({}, queue.waiting);
      oldest.set({}, queue.oldestSeconds);
    },
  };
}

/**
 * Writes one attempt's outcome, or what the processor has told of its own accord: operation, intent and event in one transaction,
 * and an operation's end only once. False when this ended nothing.
 */
export async function settle(
  tx: Tx,
  operation: Operation,
  answer: ProcessorAnswer,
  delayMs = 0,
): Promise<boolean> {
  const intent = await lockIntent(tx, operation.intentId);
  if (!intent) throw new Error(`operation ${operation.id} has no intent`);
  if (answer.kind === "no-answer") {
    await postponeOperation(tx, operation.id, delayMs, answer.reason);
    const waits = WAITING_EVENT[operation.kind];
    const status = waits && next(intent.status, waits);
    if (status !== undefined && status !== intent.status) await changeIntent(tx, intent.id, { status });
    return false;
  }
  // A declined authorization is a good answer to this operation: it is over, and nothing was reserved.
  const isRefused = answer.kind === "refused" && operation.kind !== "authorize";
  if (!(await endOperation(tx, operation.id, isRefused ? "refused" : "done", answer.reason))) return false;
  const outcome = isRefused ? refusedOutcome(operation, intent) : doneOutcome(operation, intent, answer);
  if (operation.kind === "capture" && !isRefused && intent.risk) await notePaid(tx, intent.risk);
  const changed = await changeIntent(tx, intent.id, outcome.change);
  if (!changed) throw new Error(`operation ${operation.id} moves more than the intent allows`);
  if (outcome.type === undefined) return true;
  const amount = moneyOf(intent, operation.amountMinor);
  await appendEvent(tx, SCHEMA, {
    type: outcome.type,
    subject: intent.orderId,
    version: changed.version,
    data: {
      orderId: intent.orderId,
      intentId: intent.id,
      amount,
      ...(outcome.type === paymentRefunded.type ? { total: moneyOf(intent, changed.refundedMinor) } : {}),
      ...(outcome.type === paymentDeclined.type && answer.reason !== undefined
        ? { reason: answer.reason }
        : {}),
    },
  });
  return true;
}

const WAITING_EVENT: Readonly<Partial<Record<Operation["kind"], IntentEvent>>> = {
  authorize: "auth.unknown",
  capture: "capture.waits",
};

interface Outcome {
  readonly change: IntentChange;
  readonly type?: string | undefined;
}

function doneOutcome(
  operation: Operation,
  intent: Intent,
  answer: Exclude<ProcessorAnswer, { kind: "no-answer" }>,
): Outcome {
  const moved = operation.amountMinor;
  switch (operation.kind) {
    case "authorize":
      return authorizeOutcome(intent, answer);
    case "capture": {
      const isWhole = intent.capturedMinor + moved === intent.captureAskedMinor;
      const status = isWhole
        ? capturedStatus(intent, intent.capturedMinor + moved)
        : next(intent.status, "capture.part");
      return {
        change: { status: status ?? intent.status, capturedMinor: moved },
        type: paymentCaptured.type,
      };
    }
    case "void":
      return {
        change: { status: next(intent.status, "void.done") ?? intent.status },
        type: paymentVoided.type,
      };
    case "refund": {
      const isWhole = intent.refundedMinor + moved === intent.capturedMinor;
      const status = next(intent.status, isWhole ? "refund.done" : "refund.part") ?? intent.status;
      return { change: { status, refundedMinor: moved }, type: paymentRefunded.type };
    }
  }
}

function authorizeOutcome(intent: Intent, answer: Exclude<ProcessorAnswer, { kind: "no-answer" }>): Outcome {
  if (answer.kind === "done" && answer.status === "approved") {
    const status = next(intent.status, "auth.ok") ?? intent.status;
    return { change: { status }, type: status === "authorised" ? paymentAuthorised.type : undefined };
  }
  if (answer.kind === "done" && answer.status === "voided")
    return { change: { status: next(intent.status, "auth.voided") ?? intent.status } };
  const status = next(intent.status, "auth.declined") ?? intent.status;
  return {
    change: { status, declineReason: answer.kind === "done" ? answer.reason : "refused by the processor" },
    type: status === "declined" ? paymentDeclined.type : undefined,
  };
}

/** What was asked and will never be done no longer counts against what may be asked. */
function refusedOutcome(operation: Operation, intent: Intent): Outcome {
  const moved = operation.amountMinor;
  if (operation.kind === "refund") return { change: { status: intent.status, refundAskedMinor: -moved } };
  if (operation.kind === "void") return { change: { status: intent.status } };
  const status =
    intent.capturedMinor > 0
      ? capturedStatus(intent, intent.capturedMinor)
      : next(intent.status, "capture.refused");
  return { change: { status: status ?? intent.status, captureAskedMinor: -moved } };
}

/** The status once nothing more is to be captured: refunds may have come while something was. */
function capturedStatus(
  { status, refundedMinor }: Intent,
  capturedMinor: number,
): Intent["status"] | undefined {
  const captured = next(status, "capture.done");
  if (captured === undefined || refundedMinor === 0) return captured;
  return next(captured, refundedMinor === capturedMinor ? "refund.done" : "refund.part");
}
