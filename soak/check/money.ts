import { findings, type Verdict } from "./verdict.ts";

/** An order at its end, with what its lines come to less what was short. */
export interface PaidOrder {
  readonly id: string;
  readonly state: string;
  readonly dueMinor: number;
  /** What the order's own books say was given back, for goods that came back and without any. */
  readonly givenBackMinor: number;
}

/** A movement in the books of the processor; `reference` is the order. */
export interface ProcessorEntry {
  readonly reference: string;
  readonly kind: "authorization" | "capture" | "void" | "refund";
  readonly status: string;
  readonly amountMinor: number;
}

/**
 * Whether money moved as it should, by the books of the processor alone: one authorization that counts and one capture for a delivered
 * order, of what is due; no capture for any other; given back is what the orders wrote down, and never more than was taken; nothing left
 * open at the end.
 */
export function checkMoney(orders: readonly PaidOrder[], entries: readonly ProcessorEntry[]): Verdict {
  const found = findings("one capture per order");
  const byOrder = new Map<string, ProcessorEntry[]>();
  for (const entry of entries) {
    const own = byOrder.get(entry.reference) ?? [];
    byOrder.set(entry.reference, own);
    own.push(entry);
  }
  for (const order of orders) {
    found.saw();
    const own = byOrder.get(order.id) ?? [];
    for (const text of wrongOf(order, own)) found.wrong(`order ${order.id} (${order.state}): ${text}`);
    byOrder.delete(order.id);
  }
  for (const reference of byOrder.keys()) found.wrong(`money moved for ${reference}, which is no order`);
  return found.verdict();
}

function wrongOf({ state, dueMinor, givenBackMinor }: PaidOrder, own: readonly ProcessorEntry[]): string[] {
  const of = (kind: ProcessorEntry["kind"]) => own.filter((entry) => entry.kind === kind);
  const sum = (kind: ProcessorEntry["kind"]) => of(kind).reduce((all, entry) => all + entry.amountMinor, 0);
  const texts: string[] = [];
  const captures = of("capture").length;
  const wanted = state === "delivered" && dueMinor > 0 ? 1 : 0;
  if (captures !== wanted) texts.push(`${captures} captures where ${wanted} belongs`);
  if (captures > 0 && sum("capture") !== dueMinor)
    texts.push(`${sum("capture")} were captured, ${dueMinor} are due`);
  const givenBack = sum("refund");
  if (givenBack !== givenBackMinor)
    texts.push(`${givenBack} were given back, ${givenBackMinor} are written down`);
  if (givenBack > sum("capture")) texts.push(`${givenBack} were given back of ${sum("capture")} captured`);
  const authorizations = of("authorization").length;
  if (authorizations > 1) texts.push(`${authorizations} authorizations`);
  const open = of("authorization").filter(({ status }) => status === "approved").length - captures;
  if (open > 0) texts.push("its authorization is still open");
  return texts;
}
