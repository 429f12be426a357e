import type { ServiceClient } from "../../platform/fetch.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Money } from "../../platform/money.ts";
import { type Failure, fail, type ProblemCode } from "../../platform/problem.ts";
import { createSagaRunner, type Later, later, type SagaRunner, step } from "../../platform/saga.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { InspectBody } from "./contract.ts";
import { decideReturn, type PaymentStatus, type ReturnEvent } from "./domain.ts";
import { holdIdOf, intentIdOf } from "./effects.ts";
import { announce } from "./returns.ts";
import { findReturn, moveReturn, type Return, saveRefundState } from "./returnstore.ts";
import { findOrder, type Order } from "./store.ts";

/** What follows from an inspected return, or from a refund without goods (`lines` empty). No personal data. */
export interface Settlement {
  readonly orderId: string;
  readonly lines: InspectBody["lines"];
  readonly refund: Money;
  /** The user who inspected. */
  readonly picker: string;
}

export interface SettlingDeps {
  readonly sql: Sql;
  readonly inventory: ServiceClient;
  readonly payments: ServiceClient;
  readonly holder: string;
  readonly log: Logger;
  /** For tests that end the process there. */
  afterStep?(id: string, moment: string): void;
}

export interface Settling {
  readonly returns: SagaRunner<Settlement>;
  readonly refunds: SagaRunner<Settlement>;
  startReturn(tx: Tx, of: Return, order: Order, picker: string): Promise<void>;
  startRefund(tx: Tx, id: string, orderId: string, refund: Money): Promise<void>;
  /** Goes on with a return or a refund as far as it goes now; what is left is the worker's. */
  carryOut(kind: "returns" | "refunds", id: string): Promise<void>;
}

/** Answers that say for good that nothing was done. */
const FINAL: ReadonlySet<ProblemCode> = new Set([
  "conflict",
  "unprocessable",
  "invalid-request",
  "not-found",
]);
/** Money that was never taken cannot be given back, and that may still be on its way. */
const CAPTURE_TO_COME: ReadonlySet<PaymentStatus> = new Set(["none", "authorised"]);

/** Carries out returns and refunds, each step under the id of the return or refund, for as long as it takes. */
export function createSettling(deps: SettlingDeps): Settling {
  const { sql, inventory, holder, log, afterStep } = deps;
  const common = {
    ...{ sql, schema: "orders", holder, log, maxAttempts: Number.MAX_SAFE_INTEGER },
    ...(afterStep ? { afterStep } : {}),
  };

  const restock = step<Settlement>({
    name: "restock",
    async run(state, { id }) {
      const { orderId, lines, picker } = state;
      const result = await inventory.call({
        method: "POST",
        path: "/internal/returns",
        body: {
          returnId: id,
          orderId,
          holdId: holdIdOf(orderId),
          lines,
          actor: { kind: "human", id: picker },
        },
        idempotencyKey: id,
      });
      return result.ok ? state : finalOr(result);
    },
  });
  const refund = step<Settlement>({
    name: "refund",
    run: (state, { id }) => giveBack(deps, state, id),
  });

  const returns = createSagaRunner<Settlement>({
    ...common,
    name: "return",
    steps: [restock, refund],
    finish: (tx, id) => endReturn(tx, id, "close"),
    async abandon(tx, id, _state, failure) {
      log.error({ returnId: id, code: failure.code, detail: failure.detail }, "a return was refused");
      await endReturn(tx, id, "hold");
    },
  });
  const refunds = createSagaRunner<Settlement>({
    ...common,
    name: "refund",
    steps: [refund],
    finish: (tx, id) => saveRefundState(tx, id, "taken"),
    async abandon(tx, id, _state, failure) {
      log.error({ refundId: id, code: failure.code, detail: failure.detail }, "a refund was refused");
      await saveRefundState(tx, id, "refused");
    },
  });

  const sagas = { returns, refunds };
  return {
    ...sagas,
    async carryOut(kind, id) {
      try {
        await sagas[kind].run(id);
      } catch (error) {
        log.warn({ kind, id, error: errorText(error) }, "it is written down and will be carried out later");
      }
    },
    startReturn: (tx, { id, inspected, refundMinor, currency }, order, picker) =>
      returns.start(tx, id, {
        orderId: order.id,
        lines: inspected,
        refund: { amountMinor: refundMinor, currency },
        picker,
      }),
    startRefund: (tx, id, orderId, amount) =>
      refunds.start(tx, id, { orderId, lines: [], refund: amount, picker: "" }),
  };
}

function finalOr(result: Failure): Failure | Later {
  return FINAL.has(result.code) ? result : later(`${result.code}: ${result.detail}`);
}

async function giveBack(
  { sql, payments }: SettlingDeps,
  state: Settlement,
  refundId: string,
): Promise<Settlement | Failure | Later> {
  const { orderId, refund } = state;
  if (refund.amountMinor === 0) return state;
  const order = await findOrder(sql, orderId);
  if (!order) return fail("not-found", `there is no order ${orderId}`);
  if (CAPTURE_TO_COME.has(order.paymentStatus)) return later("the money is not captured yet");
  const result = await payments.call({
    method: "POST",
    path: `/internal/intents/${intentIdOf(orderId)}/refund`,
    body: { refundId, amount: refund },
    idempotencyKey: refundId,
  });
  return result.ok ? state : finalOr(result);
}

async function endReturn(tx: Tx, id: string, event: ReturnEvent): Promise<void> {
  const found = await findReturn(tx, id);
  const decision = found && decideReturn(found.state, event);
  if (!found || decision?.outcome !== "applied") return;
  const moved = await moveReturn(tx, found, { event, to: decision.to, actor: "orders" });
  if (!moved) throw new Error(`return ${id} has moved while it was ended`);
  await announce(tx, moved);
}
