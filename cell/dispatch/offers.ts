import type { ServiceClient } from "../../platform/fetch.ts";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { positionsAnswer } from "../tracking/contract.ts";
import { dispatchOffered } from "./contract.ts";
import { type FreeCourier, freeCouriers, struckCouriers, takeSlot } from "./courierstore.ts";
import { rank } from "./domain.ts";
import { escalateAfter, moveAssignment } from "./moves.ts";
import {
  hasExpired,
  hasWaitingJobs,
  insertAssignment,
  type Job,
  lockExpired,
  lockWaitingJobs,
  postponeJob,
  saveJob,
} from "./store.ts";

/** Brings waiting parcels and free couriers together. */
export interface Offers {
  /** Offers waiting parcels to free couriers; answers how many offers were made. */
  offerRound(): Promise<number>;
  /** Takes back offers that nobody answered in time. */
  expireRound(): Promise<number>;
}

export interface OffersDeps {
  readonly sql: Sql;
  readonly tracking: ServiceClient;
  readonly log: Logger;
  readonly center: { readonly latitude: number; readonly longitude: number };
  /** How long a courier has to answer. */
  readonly ackSeconds: number;
  newAssignmentId(): string;
}

const ROUND_JOBS = 20;
/** So many ids still fit into one request line. */
const MAX_FREE = 100;
const LOOK_SECONDS = 1;

export function createOffers(deps: OffersDeps): Offers {
  const { sql, tracking, log, center, ackSeconds } = deps;
  /** A parcel that found nobody for half the time of an offer has waited for a round. */
  const roundSeconds = Math.max(1, Math.round(ackSeconds / 2));

  async function offer(tx: Tx, job: Job, free: Map<string, FreeCourier>): Promise<boolean> {
    const { orderId } = job;
    const struck = await struckCouriers(tx, orderId, ackSeconds);
    // Who has just let this parcel pass is not asked again at once, also when nobody else is free.
    const asked = [...free.values()].filter(({ id }) => struck.get(id) !== true);
    const candidates = asked.map(({ id, latitude, longitude }) => ({
      courierId: id,
      position: { latitude, longitude },
      struck: struck.has(id),
    }));
    // The parcel waits at the center: nearest means nearest to the center.
    for (const { courierId } of rank(candidates, center)) {
      const id = deps.newAssignmentId();
      free.delete(courierId);
      if (!(await takeSlot(tx, courierId, id))) continue;
      const data = { orderId, assignmentId: id, courierId };
      await Promise.all([
        insertAssignment(tx, { id, orderId, courierId, ackSeconds }),
        saveJob(tx, orderId, "offered"),
        appendEvent(tx, "dispatch", { type: dispatchOffered.type, subject: orderId, version: 1, data }),
      ]);
      return true;
    }
    const rounds = await postponeJob(tx, orderId, { lookSeconds: LOOK_SECONDS, roundSeconds });
    await escalateAfter(tx, orderId, rounds);
    return false;
  }

  /** Where couriers are now; without tracking, where their shift began. */
  async function withPositions(couriers: FreeCourier[]): Promise<Map<string, FreeCourier>> {
    const known = new Map(couriers.map((courier) => [courier.id, courier]));
    if (known.size === 0) return known;
    const answer = await tracking.call({
      method: "GET",
      path: `/internal/positions?courierIds=${encodeURIComponent([...known.keys()].join(","))}`,
      response: positionsAnswer,
    });
    if (!answer.ok) {
      log.debug({ code: answer.code }, "positions are unknown; the start of the shift is used");
      return known;
    }
    for (const { courierId, latitude, longitude } of answer.body.positions)
      if (known.has(courierId)) known.set(courierId, { id: courierId, latitude, longitude });
    return known;
  }

  return {
    async offerRound() {
      if (!(await hasWaitingJobs(sql))) return 0;
      const free = await withPositions(await freeCouriers(sql, center, MAX_FREE));
      return sql.transaction(async (tx) => {
        // A repetition after a conflict starts with everybody free again.
        const left = new Map(free);
        let made = 0;
        for (const job of await lockWaitingJobs(tx, ROUND_JOBS)) if (await offer(tx, job, left)) made++;
        return made;
      });
    },
    async expireRound() {
      // A look costs nothing beside a transaction, and mostly there is nothing.
      if (!(await hasExpired(sql))) return 0;
      return sql.transaction(async (tx) => {
        const expired = await lockExpired(tx, ROUND_JOBS);
        for (const assignment of expired) await moveAssignment(tx, assignment, "expired", "expire");
        return expired.length;
      });
    },
  };
}
