import { type Coordinates, distanceMeters } from "../../platform/geo.ts";

/** The life of one offer to one courier. */
export const ASSIGNMENT_STATES = [
  "offered",
  "assigned",
  "handed_over",
  "arrived",
  "delivered",
  "declined",
  "expired",
  "unassigned",
  "cancelled",
] as const;
export type AssignmentState = (typeof ASSIGNMENT_STATES)[number];

export const ASSIGNMENT_EVENTS = [
  "ack",
  "decline",
  "expire",
  "offline",
  "handoff",
  "arrive",
  "proof",
  "cancel",
] as const;
export type AssignmentEvent = (typeof ASSIGNMENT_EVENTS)[number];

/** Any pair that is not listed changes nothing. After the handoff the parcel is with the courier: silence alone takes nothing away. */
export const ASSIGNMENT_TRANSITIONS: Readonly<
  Record<AssignmentState, Readonly<Partial<Record<AssignmentEvent, AssignmentState>>>>
> = {
  offered: {
    ack: "assigned",
    decline: "declined",
    expire: "expired",
    offline: "expired",
    cancel: "cancelled",
  },
  assigned: { handoff: "handed_over", offline: "unassigned", decline: "unassigned", cancel: "cancelled" },
  handed_over: { arrive: "arrived", proof: "delivered" },
  arrived: { proof: "delivered" },
  delivered: {},
  declined: {},
  expired: {},
  unassigned: {},
  cancelled: {},
};

export function nextAssignmentState(
  state: AssignmentState,
  event: AssignmentEvent,
): AssignmentState | undefined {
  return ASSIGNMENT_TRANSITIONS[state][event];
}

/** Where a courier's word leads; said again there, it is answered like the first time. */
const OUTCOMES: Readonly<Partial<Record<AssignmentEvent, readonly AssignmentState[]>>> = {
  ack: ["assigned"],
  decline: ["declined", "unassigned"],
  handoff: ["handed_over"],
  arrive: ["arrived"],
  proof: ["delivered"],
};

/** Whether the assignment is already where this word leads. */
export function isRepetition(state: AssignmentState, event: AssignmentEvent): boolean {
  return OUTCOMES[event]?.includes(state) ?? false;
}

/** States in which the courier's slot is taken. */
export const ACTIVE_STATES: ReadonlySet<AssignmentState> = new Set([
  "offered",
  "assigned",
  "handed_over",
  "arrived",
]);

export interface Candidate {
  readonly courierId: string;
  readonly position: Coordinates;
  /** Offers of this order that the courier let pass. */
  readonly struck: boolean;
}

/** The nearest courier first; one that let this order pass comes after all others, but is better than none. */
export function rank(candidates: readonly Candidate[], center: Coordinates): Candidate[] {
  const scored = candidates.map((candidate) => ({
    candidate,
    meters: distanceMeters(candidate.position, center),
  }));
  scored.sort(
    (a, b) =>
      Number(a.candidate.struck) - Number(b.candidate.struck) ||
      a.meters - b.meters ||
      (a.candidate.courierId < b.candidate.courierId ? -1 : 1),
  );
  return scored.map(({ candidate }) => candidate);
}

/** Rounds without a courier after which a person should look. */
export const ESCALATE_AFTER_ROUNDS = 3;
