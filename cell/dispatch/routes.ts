import { defineRoute, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import {
  type AssignmentAnswer,
  assignmentAnswer,
  assignmentsAnswer,
  assignmentsQuery,
  emptyBody,
  handoffBody,
  proofBody,
} from "./contract.ts";
import type { DispatchService } from "./service.ts";
import { type Assignment, findAssignment, listAssignments } from "./store.ts";

const COURIERS = { roles: ["courier" as const] };
const PAGE = 100;
const NAMES = {
  ack: "Takes the offer.",
  decline: "Gives the offer back.",
  arrive: "Is at the door.",
} as const;

/** What couriers' devices call. */
export function createRoutes(deps: { service: DispatchService; sql: Sql }): Route[] {
  const { service, sql } = deps;
  const path = (rest: string) => `/v1/assignments/:assignmentId${rest}`;
  const answer = { 200: assignmentAnswer };
  return [
    defineRoute({
      method: "GET",
      path: "/v1/assignments",
      summary: "The latest hundred assignments that fit, oldest first.",
      access: COURIERS,
      query: assignmentsQuery,
      responses: { 200: assignmentsAnswer },
      async handler({ query }) {
        const found = await listAssignments(sql, {
          courierId: query.courierId,
          state: query.state,
          limit: PAGE,
        });
        return ok({ assignments: found.map(toAnswer) });
      },
    }),
    defineRoute({
      method: "GET",
      path: path(""),
      summary: "One assignment.",
      access: COURIERS,
      responses: answer,
      async handler({ params }) {
        const found = await findAssignment(sql, params.assignmentId ?? "");
        return found ? ok(toAnswer(found)) : fail("not-found", "There is no such assignment.");
      },
    }),
    ...(Object.keys(NAMES) as (keyof typeof NAMES)[]).map((event) =>
      defineRoute({
        method: "POST",
        path: path(`/${event}`),
        summary: NAMES[event],
        access: COURIERS,
        body: emptyBody,
        responses: answer,
        async handler({ params }) {
          const done = await service.apply(params.assignmentId ?? "", event);
          return done.ok ? ok(toAnswer(done.assignment)) : done;
        },
      }),
    ),
    defineRoute({
      method: "POST",
      path: path("/handoff"),
      summary: "The parcel is scanned and goes with the courier.",
      access: COURIERS,
      body: handoffBody,
      responses: answer,
      async handler({ params, body }) {
        const done = await service.apply(params.assignmentId ?? "", "handoff", {
          packageBarcode: body.packageBarcode,
        });
        return done.ok ? ok(toAnswer(done.assignment)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/proof"),
      summary: "The parcel is delivered, with a proof.",
      access: COURIERS,
      body: proofBody,
      responses: answer,
      async handler({ params, body }) {
        const done = await service.apply(params.assignmentId ?? "", "proof", { proofKind: body.kind });
        return done.ok ? ok(toAnswer(done.assignment)) : done;
      },
    }),
  ];
}

function toAnswer(assignment: Assignment): AssignmentAnswer {
  const { id, orderId, courierId, state, deliverTo, promisedAt, offeredAt, ackBy } = assignment;
  return {
    id,
    orderId,
    courierId,
    state,
    deliverTo,
    promisedAt: promisedAt.toISOString(),
    offeredAt: offeredAt.toISOString(),
    ackBy: ackBy.toISOString(),
  };
}
