import { appendEvent } from "../../platform/outbox.ts";
import type { Tx } from "../../platform/sql.ts";
import type { AllocatedLine } from "../inventory/contract.ts";
import { orderConfirmed } from "./contract.ts";
import { holdIdOf } from "./effects.ts";
import type { Order } from "./store.ts";

/** What became of the units that were allocated from one bin. */
export interface BinState {
  readonly sku: string;
  readonly bin: AllocatedLine["bins"][number]["bin"];
  readonly quantity: number;
  readonly released: number;
}

/** What tells the floor that it may begin. */
export function confirmedEvent(order: Order, lines: readonly AllocatedLine[] | undefined) {
  return {
    type: orderConfirmed.type,
    subject: order.id,
    version: order.version,
    data: orderConfirmed.parse({
      ...{ orderId: order.id, holdId: holdIdOf(order.id), lines, deliverTo: order.deliverTo },
      ...{ promisedAt: order.promisedAt.toISOString(), total: order.total },
    }),
  };
}

/** Keeps what the floor will be told, for an order whose payment a person has to look at first. */
export async function saveReview(tx: Tx, orderId: string, lines: readonly AllocatedLine[]): Promise<void> {
  await tx.query(
    "INSERT INTO orders.review (order_id, lines) VALUES ($1, $2) ON CONFLICT (order_id) DO NOTHING",
    [orderId, JSON.stringify(lines)],
  );
}

/** The payment has passed: the floor is told what was kept. */
export async function announceReviewed(tx: Tx, order: Order): Promise<void> {
  const lines = await readReview(tx, order.id);
  if (!lines) throw new Error(`order ${order.id} has passed a review that was never asked for`);
  await appendEvent(tx, "orders", confirmedEvent(order, lines));
}

/** Takes units out of what the floor will be told. */
export async function cutReview(tx: Tx, orderId: string, bins: readonly BinState[]): Promise<void> {
  const lines = await readReview(tx, orderId);
  if (!lines) throw new Error(`order ${orderId} is in a review that was never asked for`);
  await tx.query("UPDATE orders.review SET lines = $2 WHERE order_id = $1", [
    orderId,
    JSON.stringify(cutLines(lines, bins)),
  ]);
}

async function readReview(tx: Tx, orderId: string): Promise<AllocatedLine[] | undefined> {
  const rows = await tx.query<{ lines: AllocatedLine[] }>(
    "SELECT lines FROM orders.review WHERE order_id = $1",
    [orderId],
  );
  return rows[0]?.lines;
}

/** Lines with no more from each bin than is still allocated there; what would be empty goes. Pure, and harmless to repeat. */
export function cutLines(lines: readonly AllocatedLine[], bins: readonly BinState[]): AllocatedLine[] {
  const keyOf = (sku: string, { aisle, position, level }: BinState["bin"]) =>
    [sku, aisle, position, level].join(" ");
  const left = new Map(
    bins.map(({ sku, bin, quantity, released }) => [keyOf(sku, bin), quantity - released]),
  );
  return lines.flatMap((line) => {
    const kept = line.bins
      .map(({ bin, quantity }) => ({
        bin,
        quantity: Math.min(quantity, left.get(keyOf(line.sku, bin)) ?? quantity),
      }))
      .filter(({ quantity }) => quantity > 0);
    const quantity = kept.reduce((sum, share) => sum + share.quantity, 0);
    return quantity > 0 ? [{ ...line, quantity, bins: kept }] : [];
  });
}
