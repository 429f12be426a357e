import { z } from "zod";
import type { Answer, ServiceClient } from "../../platform/fetch.ts";
import type { Logger } from "../../platform/log.ts";
import type { Money } from "../../platform/money.ts";
import { type Failure, fail, PROBLEMS } from "../../platform/problem.ts";
import { createSagaRunner, type Later, later, type SagaRunner, step } from "../../platform/saga.ts";
import type { Sql } from "../../platform/sql.ts";
import { allocationAnswer } from "../inventory/contract.ts";
import { confirmAll, noteHold } from "./confirming.ts";
import type { OrderEvent } from "./domain.ts";
import { holdIdOf, intentIdOf } from "./effects.ts";
import { findOrder, releaseKey, savePaymentStatus } from "./store.ts";
import { transition } from "./transitions.ts";

/** What the saga carries from step to step; no personal data. */
export interface Placing {
  readonly orderId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  readonly total: Money;
  readonly method: string;
  readonly isHeld?: boolean;
  /** Who pays and where to, as digests that only this cell can make. */
  readonly risk?: { readonly customer: string; readonly address: string };
  readonly isAuthorised?: boolean;
  /** A person has to look at the payment before the floor is told. */
  readonly needsReview?: boolean;
  readonly allocated?: z.infer<typeof allocationAnswer>["lines"];
}

export interface PlacingDeps {
  readonly sql: Sql;
  readonly inventory: ServiceClient;
  readonly payments: ServiceClient;
  readonly holder: string;
  readonly log: Logger;
  /** For tests that end the process at a step. */
  afterStep?(id: string, moment: string): void;
}

const intentAnswer = z.looseObject({
  status: z.enum(["authorised", "declined", "unknown"]),
  review: z.boolean().optional(),
});

/** After so many tries of a step the order is given up and compensated: a customer does not wait for ever. */
const MAX_ATTEMPTS = 5;

const RUSH = "Very many want one of these articles at this moment: repeat the order in a second.";

type Reached<T> = Answer<T> | Failure;

/** What of a failed call is final, and what has to be asked again with the same key. */
function finalOr(result: Failure, attempt: number, code: Failure["code"], sentence: string): Failure | Later {
  if (attempt + 1 >= MAX_ATTEMPTS) return fail(code, sentence);
  return later(`${result.code}: ${result.detail}`);
}

const FINAL_CODES: ReadonlySet<string> = new Set([
  "out-of-stock",
  "unprocessable",
  "invalid-request",
  "payment-declined",
]);

/**
 * hold -> authorize -> allocate -> confirm; every way out compensates in reverse. Each step has ids that come from the order's, under which
 * the sibling has written down what it did; so between the order's creation and its end nothing is written here.
 */
export function createPlacing(deps: PlacingDeps): SagaRunner<Placing> {
  const { sql, inventory, payments, log } = deps;

  const hold = step<Placing>({
    name: "hold",
    isLight: true,
    async run(state, { attempt }) {
      const result = await inventory.call({
        method: "POST",
        path: "/internal/holds",
        body: {
          holdId: holdIdOf(state.orderId),
          orderId: state.orderId,
          owner: state.orderId,
          lines: state.lines,
        },
        idempotencyKey: `${state.orderId}:hold`,
      });
      // A hold that was closed before was allocated, by a process that died later on: the allocation says what became of it.
      if (result.ok || result.code === "conflict") return { ...state, isHeld: true };
      if (FINAL_CODES.has(result.code)) return result;
      return result.code === "rate-limited"
        ? finalOr(result, attempt, "rate-limited", RUSH)
        : finalOr(result, attempt, "not-accepting", "Stock cannot be held here now; try again.");
    },
    async undo(state) {
      const path = `/internal/holds/${holdIdOf(state.orderId)}/release`;
      const result = await inventory.call({
        method: "POST",
        path,
        body: {},
        idempotencyKey: `${state.orderId}:unhold`,
      });
      // A hold that cannot be released ends by its TTL: nothing has to wait for that.
      if (!result.ok) log.info({ orderId: state.orderId, code: result.code }, "a hold is left to its TTL");
      return state;
    },
  });

  const authorize = step<Placing>({
    name: "authorize",
    isLight: true,
    async run(state, { attempt }) {
      const result: Reached<z.infer<typeof intentAnswer>> = await payments.call({
        method: "POST",
        path: "/internal/intents",
        body: {
          intentId: intentIdOf(state.orderId),
          orderId: state.orderId,
          amount: state.total,
          method: state.method,
          ...(state.risk ? { risk: state.risk } : {}),
        },
        idempotencyKey: `${state.orderId}:authorize`,
        response: intentAnswer,
      });
      if (!result.ok)
        return FINAL_CODES.has(result.code)
          ? result
          : finalOr(
              result,
              attempt,
              "processor-unavailable",
              "The payment cannot be authorised now; try again.",
            );
      if (result.body.status === "declined")
        return fail("payment-declined", "The payment was declined; use another one.");
      if (result.body.status === "unknown")
        return finalOr(
          fail("processor-unavailable", "the processor has not answered"),
          attempt,
          "processor-unavailable",
          "The payment cannot be authorised now; try again.",
        );
      return { ...state, isAuthorised: true, ...(result.body.review ? { needsReview: true } : {}) };
    },
    async undo(state) {
      const path = `/internal/intents/${intentIdOf(state.orderId)}/void`;
      const result = await payments.call({
        method: "POST",
        path,
        body: {},
        idempotencyKey: `${state.orderId}:void`,
      });
      if (result.ok || result.code === "not-found") return state;
      return later(`${result.code}: ${result.detail}`);
    },
  });

  const allocate = step<Placing>({
    name: "allocate",
    isLight: true,
    async run(state, { attempt }) {
      const result = await inventory.call({
        method: "POST",
        path: "/internal/allocations",
        body: { holdId: holdIdOf(state.orderId), orderId: state.orderId, lines: state.lines },
        idempotencyKey: `${state.orderId}:allocate`,
        response: allocationAnswer,
      });
      if (result.ok) return { ...state, allocated: result.body.lines };
      return FINAL_CODES.has(result.code)
        ? result
        : finalOr(result, attempt, "not-accepting", "Stock cannot be allocated here now; try again.");
    },
    async undo(state) {
      const path = `/internal/allocations/${holdIdOf(state.orderId)}/release`;
      const result = await inventory.call({
        method: "POST",
        path,
        body: { reason: "order not confirmed" },
        idempotencyKey: `${state.orderId}:unallocate`,
      });
      if (result.ok || result.code === "not-found") return state;
      return later(`${result.code}: ${result.detail}`);
    },
  });

  return createSagaRunner<Placing>({
    sql,
    schema: "orders",
    name: "place",
    holder: deps.holder,
    log,
    steps: [hold, authorize, allocate],
    ...(deps.afterStep ? { afterStep: deps.afterStep } : {}),
    finishAll: (tx, ended) => confirmAll(tx, ended, log),
    async abandon(tx, orderId, state, failure) {
      if (state.isHeld) await noteHold(tx, orderId, log);
      const order = await findOrder(tx, orderId);
      const event = eventOfFailure(failure, order?.state ?? "created");
      await transition(
        tx,
        { orderId, event, eventId: `${orderId}:${event}`, actor: "orders" },
        { park: false, log },
      );
      if (failure.code === "payment-declined") await savePaymentStatus(tx, orderId, "declined");
      else if (state.isAuthorised) await savePaymentStatus(tx, orderId, "voided");
      // What failed on our side, or for the moment, may work a little later: the key must not be stuck with this answer.
      if (PROBLEMS[failure.code].status >= 500 || failure.code === "rate-limited")
        await releaseKey(tx, orderId);
    },
  });
}

function eventOfFailure(failure: Failure, state: string): OrderEvent {
  if (failure.code === "payment-declined" || failure.code === "processor-unavailable") return "auth.failed";
  if (failure.code === "out-of-stock") return state === "created" ? "reserve.short" : "allocate.short";
  return "abandon";
}
