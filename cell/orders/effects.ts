import type { ServiceClient } from "../../platform/fetch.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Failure } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { Effect } from "./domain.ts";
import { dueOf, findOrders, type Order } from "./store.ts";

/** The ids under which an order's hold and payment are known; derived, so that a repetition names the same ones. */
export function holdIdOf(orderId: string): string {
  return `hold:${orderId}`;
}
export function intentIdOf(orderId: string): string {
  return orderId.replace(/^ord_/, "int_");
}

/** Notes effects in the transaction that makes them due. */
export async function addEffects(tx: Tx, orderId: string, kinds: readonly Effect[]): Promise<void> {
  if (kinds.length === 0) return;
  await tx.query(
    `INSERT INTO orders.effect (order_id, kind) SELECT $1, n.kind FROM unnest($2::TEXT[]) AS n (kind)
     ON CONFLICT (order_id, kind) DO NOTHING`,
    [orderId, kinds],
  );
}

export interface EffectDeps {
  readonly sql: Sql;
  readonly payments: ServiceClient;
  readonly inventory: ServiceClient;
  readonly log: Logger;
}

const BATCH = 32;
const RETRY_SECONDS_MAX = 60;

interface Due {
  readonly order_id: string;
  readonly kind: Effect;
  readonly attempts: number;
}

/** Carries out what is due, each under a key that never changes. What fails is repeated with backoff for as long as it takes. */
export async function runEffects(deps: EffectDeps): Promise<number> {
  // Claiming moves `next_at`, so that two replicas do not both work on one effect; a repetition would do no harm, which is why
  // this is one statement by itself and conflicts with no order.
  const due = await deps.sql.query<Due>(
    `UPDATE orders.effect SET attempts = attempts + 1, next_at = now() + INTERVAL '15 seconds'
     WHERE (order_id, kind) IN (SELECT order_id, kind FROM orders.effect WHERE NOT done AND next_at <= now()
       ORDER BY next_at LIMIT ${BATCH} FOR UPDATE SKIP LOCKED) RETURNING order_id, kind, attempts`,
  );
  if (due.length === 0) return 0;
  const orders = await findOrders(
    deps.sql,
    due.map(({ order_id: id }) => id),
  );
  const known = new Map(orders.map((order) => [order.id, order]));
  const failures = await Promise.all(
    due.map((effect) => failureOf(deps, effect, known.get(effect.order_id))),
  );
  const done = due.filter((_effect, index) => failures[index] === undefined);
  if (done.length > 0)
    await deps.sql.query(
      `UPDATE orders.effect SET done = true
       WHERE (order_id, kind) IN (SELECT n.order_id, n.kind FROM unnest($1::TEXT[], $2::TEXT[]) AS n (order_id, kind))`,
      [done.map(({ order_id: id }) => id), done.map(({ kind }) => kind)],
    );
  for (const [index, effect] of due.entries()) {
    const failure = failures[index];
    if (failure !== undefined) await putOff(deps, effect, failure);
  }
  return due.length;
}

/** Undefined when it is done, or was done before. */
async function failureOf(
  deps: EffectDeps,
  { kind }: Due,
  order: Order | undefined,
): Promise<string | undefined> {
  try {
    const result = order && (await perform(deps, order, kind));
    return result && !result.ok && result.code !== "not-found"
      ? `${result.code}: ${result.detail}`
      : undefined;
  } catch (error) {
    return errorText(error);
  }
}

async function putOff(
  { sql, log }: EffectDeps,
  { order_id: orderId, kind, attempts }: Due,
  failure: string,
): Promise<void> {
  const seconds = Math.min(RETRY_SECONDS_MAX, 2 ** Math.min(attempts, 6));
  log.warn({ orderId, kind, attempts, failure }, "an effect of an order is put off");
  await sql.query(
    "UPDATE orders.effect SET next_at = now() + $3::INT8 * INTERVAL '1 second' WHERE order_id = $1 AND kind = $2",
    [orderId, kind, seconds],
  );
}

function perform(deps: EffectDeps, order: Order, kind: Effect): Promise<{ ok: true } | Failure> {
  const intent = `/internal/intents/${intentIdOf(order.id)}`;
  const idempotencyKey = `${order.id}:${kind}`;
  if (kind === "release")
    return deps.inventory.call({
      method: "POST",
      path: `/internal/allocations/${holdIdOf(order.id)}/release`,
      body: { reason: "order cancelled" },
      idempotencyKey,
    });
  if (kind === "void")
    return deps.payments.call({ method: "POST", path: `${intent}/void`, body: {}, idempotencyKey });
  const amountMinor = dueOf(order);
  // Nothing found on the floor, nothing to pay: the authorization is given back.
  if (amountMinor === 0)
    return deps.payments.call({ method: "POST", path: `${intent}/void`, body: {}, idempotencyKey });
  const amount = { amountMinor, currency: order.total.currency };
  return deps.payments.call({ method: "POST", path: `${intent}/capture`, body: { amount }, idempotencyKey });
}
