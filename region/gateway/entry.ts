import { type Failure, fail } from "../../platform/problem.ts";
import type { User } from "../../platform/usertoken.ts";
import type { CellDestination } from "./domain.ts";
import type { Fleet } from "./fleet.ts";

/**
 * Roles of staff, pickers and couriers count at the centers that the token names. Elsewhere such a user is a
 * customer, if a customer at all.
 */
export function mayEnter(user: User, destination: CellDestination): { ok: true; user: User } | Failure {
  const here = user.centers.includes("*") || user.centers.includes(destination.center);
  const roles = here ? user.roles : user.roles.filter((role) => role === "customer");
  if (roles.length > 0) return { ok: true, user: { ...user, roles } };
  return fail("forbidden", `Your roles do not count at the center ${destination.center}.`);
}

/** Why a center cannot be found: without a table nothing is known, and "no such center" would be a lie about what exists. */
export function centerMissing(fleet: Pick<Fleet, "table">, center: string): Failure {
  if (!fleet.table())
    return fail("unavailable", "The gateway has no routing table yet; try again.", undefined, 2);
  return fail("not-found", `There is no center ${center}.`);
}
