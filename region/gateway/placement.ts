import { type Failure, fail } from "../../platform/problem.ts";
import {
  type Answered,
  type ForwardOutcome,
  type PlacementDeps,
  type PlacementOrder,
  problemCodeOf,
  refuse,
  UNKNOWN,
} from "./outcomes.ts";
import type { Pin, PinKey, Pins } from "./pins.ts";
import { placeUnpinned } from "./unpinned.ts";

/** The cells one order may be offered to, the first included, before the customer gets an answer. */
const MAX_CELLS = 3;
/** How often a pin may move under us before we answer; each round is caused by another request with the same key. */
const MAX_ROUNDS = 5;

/**
 * Places one order in one cell. The pin is taken before the first byte is sent; from then on the key
 * leaves its cell only when that cell cannot have taken it: nothing was sent, or its signed refusal says so.
 */
export async function place(deps: PlacementDeps, order: PlacementOrder): Promise<Answered | Failure> {
  const candidates = order.decision.ok ? order.decision.candidates : [];
  const first = candidates[0];
  let claimed: { mine: boolean; pin: Pin } | undefined;
  try {
    claimed =
      first === undefined
        ? await existing(deps.pins, order.key)
        : await deps.pins.claim(order.key, order.bodyHash, first);
  } catch (error) {
    deps.log({ error: String(error) }, "pins are away; nothing is rerouted until they are back");
    return placeUnpinned(deps, order);
  }
  if (!claimed) return refuse(order.decision);
  try {
    return await placePinned(deps, order, claimed, candidates);
  } catch (error) {
    deps.log({ error: String(error) }, "pins went away in the middle; the key stays where it is");
    return fail("outcome-unknown", UNKNOWN, undefined, 2);
  }
}

/** With no cell to offer the order to, an earlier try may still have an answer to give. */
async function existing(pins: Pins, key: PinKey): Promise<{ mine: false; pin: Pin } | undefined> {
  const pin = await pins.find(key);
  return pin && { mine: false, pin };
}

async function placePinned(
  deps: PlacementDeps,
  order: PlacementOrder,
  start: { mine: boolean; pin: Pin },
  candidates: readonly string[],
): Promise<Answered | Failure> {
  let { mine, pin } = start;
  const tried = new Set<string>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (pin.bodyHash !== order.bodyHash)
      return fail(
        "idempotency-key-reused",
        "This Idempotency-Key was used with another body; use a new key.",
      );
    if (!mine && !(await deps.pins.share(order.key, pin))) {
      ({ mine, pin } = await deps.pins.claim(order.key, order.bodyHash, candidates[0] ?? pin.cell));
      continue;
    }
    tried.add(pin.cell);
    const outcome = await deps.forward(pin.cell);
    const leave = await mayLeave(deps, order, pin, outcome, mine);
    if (!leave.leave) return leave.answer;

    const next = pin.attempt < MAX_CELLS ? candidates.find((name) => !tried.has(name)) : undefined;
    if (next === undefined) return giveUp(deps, order, pin, outcome, leave.unlessShared);
    const moved = await deps.pins.move(order.key, pin, next, leave.unlessShared);
    if (!moved) return outcome.kind === "answered" ? outcome : fail("outcome-unknown", UNKNOWN, undefined, 1);
    pin = moved;
    mine = true;
  }
  return fail(
    "request-in-progress",
    "Other requests with this Idempotency-Key are under way; try again.",
    undefined,
    1,
  );
}

type Leave =
  | { readonly leave: true; readonly unlessShared: boolean }
  | { readonly leave: false; readonly answer: Answered | Failure };

async function mayLeave(
  deps: PlacementDeps,
  order: PlacementOrder,
  pin: Pin,
  outcome: ForwardOutcome,
  mine: boolean,
): Promise<Leave> {
  if (outcome.kind === "ambiguous" || (outcome.kind === "not-sent" && !mine))
    return { leave: false, answer: fail("outcome-unknown", UNKNOWN, { reason: outcome.reason }, 2) };
  if (outcome.kind === "not-sent") return { leave: true, unlessShared: true };
  const code = await deps.refusalCode(pin.cell, order.key.key, outcome);
  // A cell that broke in the middle may have taken the order: only its own word later can tell.
  if (code === undefined && isBroken(outcome))
    return {
      leave: false,
      answer: fail("outcome-unknown", UNKNOWN, { reason: wordOf(outcome) }, 2),
    };
  if (code === undefined) return { leave: false, answer: outcome };
  // A 409 is stored by the cell under the key, so a late twin gets it again; other refusals are not.
  return { leave: true, unlessShared: outcome.status !== 409 };
}

const wordOf = (outcome: Answered) =>
  ["answered", outcome.status, problemCodeOf(outcome)].filter((word) => word !== undefined).join(" ");

/** Answers of 5xx whose meaning for the order is not stated by the cell itself. */
function isBroken(outcome: Answered): boolean {
  if (outcome.status < 500) return false;
  const code = problemCodeOf(outcome);
  return code !== "outcome-unknown" && code !== "not-accepting" && code !== "processor-unavailable";
}

async function giveUp(
  deps: PlacementDeps,
  order: PlacementOrder,
  pin: Pin,
  outcome: ForwardOutcome,
  unlessShared: boolean,
): Promise<Answered | Failure> {
  if (outcome.kind === "answered") {
    if (unlessShared) await deps.pins.forget(order.key, pin);
    // Closed here, so it may be where nobody can be asked now: that is no answer for the customer.
    return problemCodeOf(outcome) === "key-closed" ? fail("outcome-unknown", UNKNOWN, undefined, 5) : outcome;
  }
  await deps.pins.forget(order.key, pin);
  const reason = outcome.reason;
  return fail(
    "cell-unavailable",
    `The center that covers this address cannot be reached (${reason}).`,
    { reason },
    5,
  );
}
