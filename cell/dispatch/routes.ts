import { defineRoute, type HttpRequest, ok, type Route } from "../../platform/http.ts";
import {
  type AssignmentAnswer,
  assignmentAnswer,
  assignmentsAnswer,
  assignmentsQuery,
  emptyBody,
  handoffBody,
  proofBody,
} from "./contract.ts";
import type { Actor, DispatchService } from "./service.ts";
import type { Assignment } from "./store.ts";

const COURIERS = { roles: ["courier" as const] };
const PAGE = 100;
const STEPS = {
  ack: "Takes the offer.",
  decline: "Gives the offer back, or the assignment before its handoff.",
  arrive: "Is at the door.",
} as const;
/** Each step of an assignment happens once, however often its device says so. */
const IDEMPOTENT = { idempotency: "own" } as const;

/** What couriers' devices call. */
export function createRoutes(service: DispatchService): Route[] {
  const path = (rest: string) => `/v1/assignments/:assignmentId${rest}`;
  const responses = { 200: assignmentAnswer };
  const idOf = (request: HttpRequest) => request.params.assignmentId ?? "";
  return [
    defineRoute({
      method: "GET",
      path: "/v1/assignments",
      summary: "The latest hundred assignments that fit, oldest first.",
      access: COURIERS,
      query: assignmentsQuery,
      responses: { 200: assignmentsAnswer },
      async handler(request) {
        const { courierId, state } = request.query;
        const found = await service.list({ courierId, state, limit: PAGE }, actorOf(request));
        return found.ok ? ok({ assignments: found.assignments.map(toAnswer) }) : found;
      },
    }),
    defineRoute({
      method: "GET",
      path: path(""),
      summary: "One assignment.",
      access: COURIERS,
      responses,
      async handler(request) {
        const found = await service.get(idOf(request), actorOf(request));
        return found.ok ? ok(toAnswer(found.assignment)) : found;
      },
    }),
    ...(Object.keys(STEPS) as (keyof typeof STEPS)[]).map((event) =>
      defineRoute({
        method: "POST",
        path: path(`/${event}`),
        summary: STEPS[event],
        access: COURIERS,
        ...IDEMPOTENT,
        body: emptyBody,
        responses,
        async handler(request) {
          const done = await service.apply(idOf(request), event, actorOf(request));
          return done.ok ? ok(toAnswer(done.assignment)) : done;
        },
      }),
    ),
    defineRoute({
      method: "POST",
      path: path("/handoff"),
      summary: "The parcel is scanned and goes with the courier, unless its order is being cancelled.",
      access: COURIERS,
      ...IDEMPOTENT,
      body: handoffBody,
      responses,
      async handler(request) {
        const done = await service.apply(idOf(request), "handoff", actorOf(request), request.body);
        return done.ok ? ok(toAnswer(done.assignment)) : done;
      },
    }),
    defineRoute({
      method: "POST",
      path: path("/proof"),
      summary: "The parcel is delivered, with a proof.",
      access: COURIERS,
      ...IDEMPOTENT,
      body: proofBody,
      responses,
      async handler(request) {
        const done = await service.apply(idOf(request), "proof", actorOf(request), { proof: request.body });
        return done.ok ? ok(toAnswer(done.assignment)) : done;
      },
    }),
  ];
}

function actorOf(request: HttpRequest): Actor {
  const { user } = request.principal;
  return { sub: user?.sub ?? "", isStaff: user?.roles.includes("staff") ?? false };
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
