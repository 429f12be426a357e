import { createHash } from "node:crypto";
import type { Money } from "../../platform/money.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { RefundAnswer, RefundBody } from "./contract.ts";
import { findRefund, insertRefund, type Refund, refundedMinor } from "./returnstore.ts";
import { dueOf, lockOrder } from "./store.ts";
import { UNKNOWN_ORDER } from "./view.ts";

/** Money without goods, by staff. */
export interface Refunds {
  ask(orderId: string, sub: string, key: string, body: RefundBody): Promise<Asked>;
}

type Asked = { readonly ok: true; readonly value: Refund } | Failure;

/** Makes the use case; `start` begins the refund in the transaction that writes it down. */
export function createRefunds(deps: {
  readonly sql: Sql;
  start(tx: Tx, id: string, orderId: string, amount: Money): Promise<void>;
  carryOut(id: string): Promise<void>;
}): Refunds {
  return {
    async ask(orderId, sub, key, { amount, reason }) {
      const asked = await deps.sql.transaction(async (tx): Promise<Asked> => {
        // Its row is the lock under which refunds and returns of the order are counted.
        const order = await lockOrder(tx, orderId);
        if (!order) return UNKNOWN_ORDER;
        const id = `${orderId}:rf:${createHash("sha256").update(`${sub}\n${key}`).digest("hex").slice(0, 24)}`;
        const before = await findRefund(tx, id);
        if (before) return { ok: true, value: before };
        if (order.state !== "delivered")
          return fail("conflict", `There is nothing to give back for an order that is ${order.state}.`, {
            state: order.state,
          });
        const { amountMinor, currency } = amount;
        if (currency !== order.total.currency)
          return fail("unprocessable", `The order was paid in ${order.total.currency}.`);
        const leftMinor = dueOf(order) - (await refundedMinor(tx, orderId));
        if (amountMinor > leftMinor)
          return fail("unprocessable", `Only ${leftMinor} ${currency} of this order are left to give back.`, {
            leftMinor,
          });
        const value = await insertRefund(tx, { id, orderId, amountMinor, currency, reason });
        if (!value) throw new Error(`refund ${id} was made by somebody else under the lock of its order`);
        await deps.start(tx, id, orderId, amount);
        return { ok: true, value };
      });
      if (!asked.ok || asked.value.state !== "asked") return asked;
      await deps.carryOut(asked.value.id);
      return { ok: true, value: (await findRefund(deps.sql, asked.value.id)) ?? asked.value };
    },
  };
}

/** A refund as people see it. */
export function toRefundAnswer(value: Refund): RefundAnswer {
  return {
    id: value.id,
    orderId: value.orderId,
    amount: { amountMinor: value.amountMinor, currency: value.currency },
    reason: value.reason,
    state: value.state,
    createdAt: value.createdAt.toISOString(),
  };
}
