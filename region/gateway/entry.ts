import { type Failure, fail } from "../../platform/problem.ts";
import type { User } from "../../platform/usertoken.ts";
import type { CellDestination } from "./domain.ts";

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
