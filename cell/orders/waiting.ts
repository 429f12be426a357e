import type { Clock } from "../../platform/clock.ts";
import type { SagaOutcome, SagaRunner } from "../../platform/saga.ts";

/** How long a person waits for a saga at most; after that the key brings the answer. */
const WAIT_MS = 8_000;
const POLL_MS = 150;

/** Takes a saga on, or waits for whoever has it, until it ends or nobody waits any more. `started`: its state, when it has just been started here. */
export async function waitFor<S>(
  saga: SagaRunner<S>,
  id: string,
  clock: Clock,
  deadlineMs: number,
  started?: S,
): Promise<SagaOutcome<S>> {
  const untilMs = Math.min(clock.nowMs() + WAIT_MS, deadlineMs - 500);
  for (let state = started; ; state = undefined) {
    const outcome = await saga.run(id, state);
    if (outcome.status !== "pending" || clock.nowMs() >= untilMs) return outcome;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
