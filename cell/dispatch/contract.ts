import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { coordinatesSchema } from "../../platform/schemas.ts";
import { ASSIGNMENT_STATES } from "./domain.ts";

export const assignmentAnswer = z
  .object({
    id: z.string(),
    orderId: z.string(),
    courierId: z.string(),
    state: z.enum(ASSIGNMENT_STATES),
    deliverTo: coordinatesSchema,
    promisedAt: z.string(),
    offeredAt: z.string(),
    ackBy: z.string(),
  })
  .meta({ id: "Assignment" });
export type AssignmentAnswer = z.infer<typeof assignmentAnswer>;

export const assignmentsQuery = z.object({
  courierId: z.string().max(120).optional(),
  state: z.enum(ASSIGNMENT_STATES).optional(),
});
export const assignmentsAnswer = z.object({ assignments: z.array(assignmentAnswer) });
export const emptyBody = z.object({});
/** The label that the courier scans. */
export const handoffBody = z.object({ packageBarcode: z.string().min(1).max(64) });
/** Only the kind of proof travels in events; its value stays here. */
export const proofBody = z.object({
  kind: z.enum(["photo", "code", "signature"]),
  value: z.string().min(1).max(500),
});

const about = z.object({ orderId: z.string(), assignmentId: z.string(), courierId: z.string() });
/** Subject of all events: the order's id. */
export const dispatchOffered = eventOf("dispatch.offered.v1", about);
/** The courier has said yes. */
export const dispatchAssigned = eventOf("dispatch.assigned.v1", about);
/** The courier is lost before the handoff; another one is looked for. */
export const dispatchUnassigned = eventOf("dispatch.unassigned.v1", about);
export const dispatchHandedOver = eventOf("dispatch.handed_over.v1", about);
export const dispatchArrived = eventOf("dispatch.arrived.v1", about);
export const dispatchDelivered = eventOf("dispatch.delivered.v1", about.extend({ proofKind: z.string() }));
/** No courier for several rounds: a person should look. */
export const dispatchEscalated = eventOf(
  "dispatch.escalated.v1",
  z.object({ orderId: z.string(), rounds: z.int() }),
);
