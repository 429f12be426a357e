import type { ServiceClient } from "../../platform/fetch.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import { createRemember } from "../../platform/remember.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { courierUserAnswer } from "../couriers/contract.ts";
import { type AssignmentEvent, isRepetition, nextAssignmentState } from "./domain.ts";
import { moveAssignment, type StepInput } from "./moves.ts";
import { type Assignment, findAssignment, listAssignments, lockActive, lockAssignment } from "./store.ts";

type Outcome = { readonly ok: true; readonly assignment: Assignment } | Failure;

/** The user behind a request. */
export interface Actor {
  readonly sub: string;
  readonly isStaff: boolean;
}

/** What couriers do with their assignments; those of others are told like ones that do not exist. */
export interface DispatchService {
  get(id: string, actor: Actor): Promise<Outcome>;
  /** The newest assignments that fit, without those of couriers for whom the actor may not act. */
  list(
    filter: { courierId?: string | undefined; state?: string | undefined; limit: number },
    actor: Actor,
  ): Promise<{ readonly ok: true; readonly assignments: Assignment[] } | Failure>;
  /** A courier's word on an assignment; said twice, it is answered like the first time. */
  apply(id: string, event: AssignmentEvent, actor: Actor, input?: StepInput): Promise<Outcome>;
  /** Ends the active assignment of an order or courier from outside; in the caller's transaction. */
  applyTo(tx: Tx, by: { orderId: string } | { courierId: string }, event: AssignmentEvent): Promise<void>;
}

const NO_ASSIGNMENT = fail("not-found", "There is no such assignment.");
const MAX_KNOWN_COURIERS = 10_000;
const MAX_ASKED = 10;
const ASK_AGAIN_MS = 200;

export function createDispatchService(deps: {
  sql: Sql;
  couriers: ServiceClient;
  orders: ServiceClient;
}): DispatchService {
  const { sql, couriers, orders } = deps;
  const userOf = createRemember(async (courierId: string) => {
    const path = `/internal/couriers/${encodeURIComponent(courierId)}`;
    const answer = await couriers.call({ method: "GET", path, response: courierUserAnswer });
    return answer.ok ? { ok: true as const, value: answer.body.userSub } : answer;
  }, MAX_KNOWN_COURIERS);

  /** Undefined when the actor may act for the courier. */
  async function refusal(courierId: string, actor: Actor): Promise<Failure | undefined> {
    if (actor.isStaff) return undefined;
    const user = await userOf(courierId);
    if (!user.ok) return user.code === "not-found" ? NO_ASSIGNMENT : user;
    return user.value === undefined || user.value === actor.sub ? undefined : NO_ASSIGNMENT;
  }

  /** Orders decides between the courier and a customer who cancels at this very moment; repeated, it says the same. */
  async function mayLeave({ id, orderId }: Assignment): Promise<{ readonly ok: true } | Failure> {
    for (let asked = 1; ; asked++) {
      const left = await orders.call({
        method: "POST",
        path: `/internal/orders/${encodeURIComponent(orderId)}/handover`,
        body: { assignmentId: id },
        idempotencyKey: `handover:${id}`,
      });
      // That the courier has said yes is still on its way to orders.
      if (left.ok || left.code !== "too-early") return left;
      if (asked === MAX_ASKED)
        return fail("unavailable", "The order is not ready to leave yet; scan again in a moment.");
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  return {
    async get(id, actor) {
      const assignment = await findAssignment(sql, id);
      if (!assignment) return NO_ASSIGNMENT;
      return (await refusal(assignment.courierId, actor)) ?? { ok: true, assignment };
    },
    async list(filter, actor) {
      const found = await listAssignments(sql, filter);
      const refusals = new Map<string, Failure | undefined>();
      for (const { courierId } of found)
        if (!refusals.has(courierId)) refusals.set(courierId, await refusal(courierId, actor));
      const broken = [...refusals.values()].find((refused) => refused && refused.code !== "not-found");
      if (broken) return broken;
      return { ok: true, assignments: found.filter(({ courierId }) => !refusals.get(courierId)) };
    },
    async apply(id, event, actor, input = {}) {
      const found = await findAssignment(sql, id);
      if (!found) return NO_ASSIGNMENT;
      const refused = await refusal(found.courierId, actor);
      if (refused) return refused;
      if (event === "handoff" && found.state === "assigned" && isItsParcel(found, input)) {
        const allowed = await mayLeave(found);
        if (!allowed.ok) return allowed;
      }
      return sql.transaction((tx) => step(tx, id, event, input));
    },
    async applyTo(tx, by, event) {
      const assignment = await lockActive(tx, by);
      const to = assignment && nextAssignmentState(assignment.state, event);
      if (assignment && to !== undefined) await moveAssignment(tx, assignment, to, event);
    },
  };
}

async function step(tx: Tx, id: string, event: AssignmentEvent, input: StepInput): Promise<Outcome> {
  const assignment = await lockAssignment(tx, id);
  if (!assignment) return NO_ASSIGNMENT;
  const { state } = assignment;
  if (event === "handoff" && !isItsParcel(assignment, input))
    return fail("unprocessable", "This is not the parcel of this assignment; scan the right one.");
  if (isRepetition(state, event)) return { ok: true, assignment };
  const to = nextAssignmentState(state, event);
  if (to === undefined) return fail("conflict", `This assignment is ${state}.`, { state });
  return { ok: true, assignment: await moveAssignment(tx, assignment, to, event, input) };
}

function isItsParcel(assignment: Assignment, input: StepInput): boolean {
  return input.packageBarcode === assignment.packageBarcode;
}
