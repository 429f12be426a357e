import type { HttpRequest } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import type { Tx } from "../../platform/sql.ts";
import type { OrderAnswer } from "./contract.ts";
import { publicStatus } from "./domain.ts";
import { dueOf, findOrder, type Order } from "./store.ts";

/** Who asks, as the gateway has proved it. */
export interface Viewer {
  readonly sub: string;
  readonly isStaff: boolean;
}

/** Reads the viewer from what the gateway says. */
export function viewerOf(request: HttpRequest): Viewer {
  const { user } = request.principal;
  return { sub: user?.sub ?? "", isStaff: user?.roles.includes("staff") ?? false };
}

export const UNKNOWN_ORDER = fail("not-found", "There is no such order.");

/** Somebody else's order is told like one that does not exist. */
export function isVisible(order: Pick<Order, "sub"> | undefined, viewer: Viewer): boolean {
  return order !== undefined && (viewer.isStaff || order.sub === viewer.sub);
}

/** The order, when this viewer may see it. */
export async function findVisible(tx: Tx, id: string, viewer: Viewer): Promise<Order | undefined> {
  const order = await findOrder(tx, id);
  return isVisible(order, viewer) ? order : undefined;
}

/** An order as people see it. */
export function toAnswer(order: Order, center: string): OrderAnswer {
  return {
    id: order.id,
    center,
    status: publicStatus(order.state, order.paymentStatus, order.shortLines.length > 0),
    state: order.state,
    paymentStatus: order.paymentStatus,
    lines: [...order.lines],
    shortLines: [...order.shortLines],
    cancelledLines: [...order.cancelledLines],
    total: order.total,
    due: { amountMinor: dueOf(order), currency: order.total.currency },
    promisedAt: order.promisedAt.toISOString(),
    createdAt: order.createdAt.toISOString(),
    version: order.version,
  };
}
