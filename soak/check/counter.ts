/**
 * One call to a counter with a bounded stock, such as the free units of a SKU. Times are of one clock, in milliseconds.
 * `take` was granted, `put` gives back. `answeredAtMs` is infinite while nobody has heard of the outcome.
 */
export interface CounterCall {
  readonly id: string;
  readonly kind: "take" | "put";
  readonly units: number;
  readonly invokedAtMs: number;
  readonly answeredAtMs: number;
}

export interface Overdraft {
  /** The call with which the stock went below zero, at the latest. */
  readonly id: string;
  readonly atMs: number;
  /** How many units too many had been given. */
  readonly units: number;
}

/**
 * Finds out whether granted takes and puts on a counter that starts at `stock` and never goes below zero are linearizable; undefined
 * when they are. Exact, in `n log n`, and that is why no search is needed: a put only helps the others and a take only hurts them, so
 * among all points of an interval the best for a put is its invocation and the best for a take is its answer. Whatever
 * linearization there is, at the answer of a take all takes answered by then are in it, and no put but those invoked by
 * then; so if this order goes below zero, every other one has gone below zero by then, too. Refusals put no bound on this object: the
 * cell may refuse early. `counter.test.ts` holds it against Wing and Gong's search.
 */
export function overdraft(stock: number, calls: readonly CounterCall[]): Overdraft | undefined {
  const points = calls
    .filter((call) => call.kind === "put" || Number.isFinite(call.answeredAtMs))
    .map((call) => ({
      id: call.id,
      atMs: call.kind === "put" ? call.invokedAtMs : call.answeredAtMs,
      units: call.kind === "put" ? call.units : -call.units,
    }))
    // At one moment what is given back comes first: intervals that touch overlap.
    .sort((left, right) => left.atMs - right.atMs || right.units - left.units);
  let free = stock;
  for (const { id, atMs, units } of points) {
    free += units;
    if (free < 0) return { id, atMs, units: -free };
  }
  return undefined;
}
