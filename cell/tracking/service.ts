import type { Clock } from "../../platform/clock.ts";
import type { ServiceClient } from "../../platform/fetch.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import { ownerAnswer } from "../orders/contract.ts";
import type { TrackingAnswer } from "./contract.ts";
import { etaSeconds } from "./domain.ts";
import type { Positions } from "./positions.ts";
import { findParcel, type Parcel, saveOwner } from "./store.ts";

export interface Viewer {
  readonly sub: string;
  readonly isStaff: boolean;
}

export interface TrackingService {
  /** What the viewer may see of an order; somebody else's is told like one that does not exist. */
  look(
    orderId: string,
    viewer: Viewer,
  ): Promise<{ ok: true; answer: TrackingAnswer; courierId?: string } | Failure>;
}

const NO_ORDER = fail("not-found", "There is no such order.");

/** Where a parcel is, for those whose parcel it is. */
export function createTrackingService(deps: {
  sql: Sql;
  positions: Positions;
  orders: ServiceClient;
  clock: Clock;
}): TrackingService {
  const { sql, positions, orders, clock } = deps;

  async function ownerOf(orderId: string, parcel: Parcel | undefined): Promise<string | Failure> {
    if (parcel?.sub !== undefined) return parcel.sub;
    const path = `/internal/orders/${encodeURIComponent(orderId)}/owner`;
    const answer = await orders.call({ method: "GET", path, response: ownerAnswer });
    if (!answer.ok) return answer;
    await sql.transaction((tx) => saveOwner(tx, orderId, answer.body.sub));
    return answer.body.sub;
  }

  return {
    async look(orderId, viewer) {
      const parcel = await findParcel(sql, orderId);
      const owner = await ownerOf(orderId, parcel);
      if (typeof owner !== "string") return owner.code === "not-found" ? NO_ORDER : owner;
      if (!viewer.isStaff && owner !== viewer.sub) return NO_ORDER;
      const promised = parcel?.promisedAt ? { promisedAt: parcel.promisedAt.toISOString() } : {};
      if (parcel?.ended) return { ok: true, answer: { orderId, status: parcel.ended, ...promised } };
      const courierId = parcel?.courierId;
      if (courierId === undefined) return { ok: true, answer: { orderId, status: "waiting", ...promised } };
      const fix = (await positions.last([courierId])).get(courierId);
      const answer: TrackingAnswer = { orderId, status: "on_the_way", ...promised };
      if (!fix) return { ok: true, answer, courierId };
      const { latitude, longitude, atMs } = fix;
      const ageSeconds = Math.max(0, Math.round((clock.nowMs() - atMs) / 1000));
      const eta = parcel?.deliverTo ? { etaSeconds: etaSeconds(fix, parcel.deliverTo) } : {};
      return {
        ok: true,
        answer: { ...answer, ...eta, position: { latitude, longitude, ageSeconds } },
        courierId,
      };
    },
  };
}
