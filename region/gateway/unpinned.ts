import { type Failure, fail } from "../../platform/problem.ts";
import {
  type Answered,
  type PlacementDeps,
  type PlacementOrder,
  problemCodeOf,
  refuse,
  UNKNOWN,
} from "./outcomes.ts";

/**
 * Places an order while the region database is away and no key can be pinned. Which cell comes first is read from the table alone, so
 * that every gateway and every repetition choose the same one. Each other cell that covers the address has to close the key first: an
 * earlier try may have been rerouted there, and a later one could be. A cell that cannot be asked may have the order: then nobody
 * gets it now.
 */
export async function placeUnpinned(deps: PlacementDeps, order: PlacementOrder): Promise<Answered | Failure> {
  const { decision, covering } = order;
  const [home, ...others] = covering;
  if (home === undefined) return refuse(decision);
  const closings = await Promise.all(others.map((cell) => deps.closeKey(cell, order.key)));
  if (closings.includes("unknown"))
    return fail(
      "unavailable",
      "Orders for this address wait for the region database, because a center that covers it cannot be asked; repeat the request with the same Idempotency-Key.",
      undefined,
      5,
    );
  for (const cell of others.filter((_cell, index) => closings[index] === "taken")) {
    const answer = await ask(deps, order, cell);
    if (answer !== "refused") return answer;
  }
  const answer = await ask(deps, order, home);
  if (answer !== "refused") return answer;
  return fail("unavailable", "Orders cannot be rerouted for the moment; repeat the request.", undefined, 5);
}

/** The answer of one cell; `refused` on its signed word that it took nothing. */
async function ask(
  deps: PlacementDeps,
  order: PlacementOrder,
  cell: string,
): Promise<Answered | Failure | "refused"> {
  const outcome = await deps.forward(cell);
  if (outcome.kind !== "answered") return fail("outcome-unknown", UNKNOWN, { reason: outcome.reason }, 2);
  const code = await deps.refusalCode(cell, order.key.key, outcome);
  // Its other refusals are final enough for the customer: there is nowhere else to go without pins.
  return code === undefined || problemCodeOf(outcome) !== "key-closed" ? outcome : "refused";
}
