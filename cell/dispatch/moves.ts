import { appendEvent } from "../../platform/outbox.ts";
import type { Tx } from "../../platform/sql.ts";
import {
  dispatchArrived,
  dispatchAssigned,
  dispatchDelivered,
  dispatchEscalated,
  dispatchHandedOver,
  dispatchUnassigned,
} from "./contract.ts";
import { addStrike, freeSlot } from "./courierstore.ts";
import {
  ACTIVE_STATES,
  type AssignmentEvent,
  type AssignmentState,
  ESCALATE_AFTER_ROUNDS,
} from "./domain.ts";
import { type Assignment, countRound, escalateJob, saveAssignment, saveJob, saveProof } from "./store.ts";

/** What a courier's device says beside the step itself. */
export interface StepInput {
  readonly packageBarcode?: string;
  readonly proof?: { readonly kind: string; readonly value: string };
}

/** What is told when an assignment comes into a state. */
const ANNOUNCED: Readonly<Partial<Record<AssignmentState, string>>> = {
  assigned: dispatchAssigned.type,
  unassigned: dispatchUnassigned.type,
  handed_over: dispatchHandedOver.type,
  arrived: dispatchArrived.type,
  delivered: dispatchDelivered.type,
};

/** Where a move leaves the parcel; absent: as it was. */
const JOB_STATES: Readonly<Partial<Record<AssignmentState, "waiting" | "assigned" | "done">>> = {
  assigned: "assigned",
  delivered: "done",
  declined: "waiting",
  expired: "waiting",
  unassigned: "waiting",
};

/** One move: assignment, slot, parcel, strike and event together, in the caller's transaction. */
export async function moveAssignment(
  tx: Tx,
  assignment: Assignment,
  to: AssignmentState,
  event: AssignmentEvent,
  { proof }: StepInput = {},
): Promise<Assignment> {
  const version = assignment.version + 1;
  const { id, orderId, courierId } = assignment;
  const writing: Promise<unknown>[] = [
    saveAssignment(tx, id, { state: to, version, ...(proof ? { proofKind: proof.kind } : {}) }),
  ];
  if (proof) writing.push(saveProof(tx, id, proof));
  if (!ACTIVE_STATES.has(to)) writing.push(freeSlot(tx, courierId, id));
  const job = JOB_STATES[to];
  if (job !== undefined) writing.push(saveJob(tx, orderId, job));
  // Also who gives back what was taken: the parcel must not come straight back to the same courier.
  if (event === "decline" || event === "expire") writing.push(addStrike(tx, courierId, orderId));
  const type = ANNOUNCED[to];
  if (type !== undefined) {
    const data = { orderId, assignmentId: id, courierId, ...(proof ? { proofKind: proof.kind } : {}) };
    writing.push(appendEvent(tx, "dispatch", { type, subject: orderId, version, data }));
  }
  await Promise.all(writing);
  if (job === "waiting") await escalateAfter(tx, orderId, await countRound(tx, orderId));
  return { ...assignment, state: to, version };
}

/** Calls for a person, once, when a parcel has waited for too many rounds. */
export async function escalateAfter(tx: Tx, orderId: string, rounds: number): Promise<void> {
  if (rounds < ESCALATE_AFTER_ROUNDS || !(await escalateJob(tx, orderId))) return;
  const data = { orderId, rounds };
  await appendEvent(tx, "dispatch", {
    type: dispatchEscalated.type,
    subject: orderId,
    version: rounds,
    data,
  });
}
