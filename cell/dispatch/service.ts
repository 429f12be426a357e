import type { ServiceClient } from "../../platform/fetch.ts";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { positionsAnswer } from "../tracking/contract.ts";
import {
  dispatchArrived,
  dispatchAssigned,
  dispatchDelivered,
  dispatchEscalated,
  dispatchHandedOver,
  dispatchOffered,
  dispatchUnassigned,
} from "./contract.ts";
import {
  ACTIVE_STATES,
  type AssignmentEvent,
  type AssignmentState,
  ESCALATE_AFTER_ROUNDS,
  nextAssignmentState,
  rank,
} from "./domain.ts";
import {
  type Assignment,
  addStrike,
  type FreeCourier,
  freeCouriers,
  freeSlot,
  hasWaitingJobs,
  insertAssignment,
  type Job,
  lockActive,
  lockAssignment,
  lockExpired,
  lockWaitingJobs,
  postponeJob,
  saveAssignment,
  saveJob,
  struckCouriers,
  takeSlot,
} from "./store.ts";

type Outcome = { readonly ok: true; readonly assignment: Assignment } | Failure;

export interface DispatchService {
  /** A courier's word on an assignment. */
  apply(
    id: string,
    event: AssignmentEvent,
    input?: { packageBarcode?: string; proofKind?: string },
  ): Promise<Outcome>;
  /** Ends the active assignment of an order or courier from outside; in the caller's transaction. */
  applyTo(tx: Tx, by: { orderId: string } | { courierId: string }, event: AssignmentEvent): Promise<void>;
  /** Offers waiting parcels to free couriers; answers how many offers were made. */
  offerRound(): Promise<number>;
  /** Takes back offers that nobody answered in time. */
  expireRound(): Promise<number>;
}

export interface DispatchDeps {
  readonly sql: Sql;
  readonly tracking: ServiceClient;
  readonly log: Logger;
  readonly center: { readonly latitude: number; readonly longitude: number };
  readonly ackSeconds: number;
  newAssignmentId(): string;
}

const ROUND_JOBS = 20;
const MAX_FREE = 200;
const RETRY_SECONDS = 1;
const NO_ASSIGNMENT = fail("not-found", "There is no such assignment.");

/** What is told when an assignment comes into a state. */
const ANNOUNCED: Readonly<Partial<Record<AssignmentState, string>>> = {
  assigned: dispatchAssigned.type,
  unassigned: dispatchUnassigned.type,
  handed_over: dispatchHandedOver.type,
  arrived: dispatchArrived.type,
  delivered: dispatchDelivered.type,
};

/** Brings packed parcels and couriers together. */
export function createDispatchService(deps: DispatchDeps): DispatchService {
  const { sql, tracking, log } = deps;

  /** One move: state, slot, job and event together. */
  async function move(
    tx: Tx,
    assignment: Assignment,
    to: AssignmentState,
    event: AssignmentEvent,
    input: { proofKind?: string } = {},
  ): Promise<Assignment> {
    const version = assignment.version + 1;
    const { id, orderId, courierId } = assignment;
    await saveAssignment(tx, id, {
      state: to,
      version,
      ...(input.proofKind ? { proofKind: input.proofKind } : {}),
    });
    if (!ACTIVE_STATES.has(to)) await freeSlot(tx, courierId, id);
    if (to === "assigned") await saveJob(tx, orderId, "assigned");
    if (to === "delivered") await saveJob(tx, orderId, "done");
    if (to === "declined" || to === "expired" || to === "unassigned") await saveJob(tx, orderId, "waiting");
    // Also who gives back what was taken: the parcel must not come straight back to the same courier.
    if (event === "decline" || to === "expired") await addStrike(tx, courierId, orderId);
    const type = ANNOUNCED[to];
    if (type !== undefined) {
      const data = {
        orderId,
        assignmentId: id,
        courierId,
        ...(input.proofKind ? { proofKind: input.proofKind } : {}),
      };
      await appendEvent(tx, "dispatch", { type, subject: orderId, version, data });
    }
    return { ...assignment, state: to, version };
  }

  async function offer(tx: Tx, job: Job, free: Map<string, FreeCourier>): Promise<boolean> {
    const struck = await struckCouriers(tx, job.orderId);
    const candidates = [...free.values()].map(({ id, latitude, longitude }) => ({
      courierId: id,
      position: { latitude, longitude },
      struck: struck.has(id),
    }));
    // The parcel waits at the center: nearest means nearest to the center.
    for (const { courierId } of rank(candidates, deps.center)) {
      const id = deps.newAssignmentId();
      free.delete(courierId);
      if (!(await takeSlot(tx, courierId, id))) continue;
      await insertAssignment(tx, { id, orderId: job.orderId, courierId, ackSeconds: deps.ackSeconds });
      await saveJob(tx, job.orderId, "offered");
      await appendEvent(tx, "dispatch", {
        type: dispatchOffered.type,
        subject: job.orderId,
        version: 1,
        data: { orderId: job.orderId, assignmentId: id, courierId },
      });
      return true;
    }
    if (await postponeJob(tx, job.orderId, RETRY_SECONDS, ESCALATE_AFTER_ROUNDS)) {
      const rounds = ESCALATE_AFTER_ROUNDS;
      const data = { orderId: job.orderId, rounds };
      await appendEvent(tx, "dispatch", {
        type: dispatchEscalated.type,
        subject: job.orderId,
        version: rounds,
        data,
      });
    }
    return false;
  }

  /** Where couriers are now; without tracking, where their shift began. */
  async function withPositions(couriers: FreeCourier[]): Promise<Map<string, FreeCourier>> {
    const known = new Map(couriers.map((courier) => [courier.id, courier]));
    if (known.size === 0) return known;
    const ids = [...known.keys()].slice(0, MAX_FREE).join(",");
    const answer = await tracking.call({
      method: "GET",
      path: `/internal/positions?courierIds=${encodeURIComponent(ids)}`,
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
    apply: (id, event, input = {}) =>
      sql.transaction(async (tx) => {
        const assignment = await lockAssignment(tx, id);
        if (!assignment) return NO_ASSIGNMENT;
        const to = nextAssignmentState(assignment.state, event);
        if (to === undefined)
          return fail("conflict", `This assignment is ${assignment.state}.`, { state: assignment.state });
        if (event === "handoff" && input.packageBarcode !== assignment.packageBarcode)
          return fail("unprocessable", "This is not the parcel of this assignment; scan the right one.");
        return { ok: true as const, assignment: await move(tx, assignment, to, event, input) };
      }),
    async applyTo(tx, by, event) {
      const assignment = await lockActive(tx, by);
      const to = assignment && nextAssignmentState(assignment.state, event);
      if (assignment && to !== undefined) await move(tx, assignment, to, event);
    },
    async offerRound() {
      if (!(await hasWaitingJobs(sql))) return 0;
      const free = await withPositions(await freeCouriers(sql, MAX_FREE));
      return sql.transaction(async (tx) => {
        // A repetition after a conflict starts with everybody free again.
        const left = new Map(free);
        let made = 0;
        for (const job of await lockWaitingJobs(tx, ROUND_JOBS)) if (await offer(tx, job, left)) made++;
        return made;
      });
    },
    expireRound: () =>
      sql.transaction(async (tx) => {
        const expired = await lockExpired(tx, ROUND_JOBS);
        for (const assignment of expired) await move(tx, assignment, "expired", "expire");
        return expired.length;
      }),
  };
}
