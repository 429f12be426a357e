/** A call to any object, as it was seen from outside. Never answered: it may have happened, or not. */
export interface Call<I> {
  readonly input: I;
  readonly invokedAtMs: number;
  readonly answeredAtMs: number;
}

/** What the object does when calls come one at a time; undefined when it could not have given this answer in this state. */
export interface Model<S, I> {
  readonly initial: S;
  step(state: S, input: I): S | undefined;
  /** Equal for states that behave alike. */
  key(state: S): string;
}

/** `unknown`: the search was given up after `maxStates`. */
export type SearchResult = "linearizable" | "not-linearizable" | "unknown";

interface Node<S> {
  readonly state: S;
  /** All calls before this index are in the order that was found so far. */
  readonly first: number;
  /** Calls at or after `first` that are in it, too; ascending. */
  readonly beyond: readonly number[];
}

/**
 * Looks for an order of the calls that respects time and the model: Wing and Gong's search with Lowe's memory of what has been tried
 * (JIT linearization; G. Lowe, "Testing for linearizability", 2017). Two branches that have the same calls behind them and are in the
 * same state go on alike, so the second is dropped. Exponential at worst in how many calls overlap.
 */
export function search<S, I>(
  model: Model<S, I>,
  history: readonly Call<I>[],
  maxStates = 200_000,
): SearchResult {
  const calls = [...history].sort((left, right) => left.invokedAtMs - right.invokedAtMs);
  const seen = new Set<string>();
  const stack: Node<S>[] = [{ state: model.initial, first: 0, beyond: [] }];
  for (let node = stack.pop(); node; node = stack.pop()) {
    const { state, first, beyond } = node;
    const left = open(calls, first, beyond);
    if (left.every((index) => calls[index]?.answeredAtMs === Number.POSITIVE_INFINITY)) return "linearizable";
    const untilMs = Math.min(...left.map((index) => calls[index]?.answeredAtMs ?? Number.POSITIVE_INFINITY));
    for (const index of left) {
      const call = calls[index];
      if (!call || call.invokedAtMs > untilMs) break;
      const next = model.step(state, call.input);
      if (next === undefined) continue;
      const after = advanced({ state: next, first, beyond: [...beyond, index].sort((a, b) => a - b) });
      const key = `${after.first}|${after.beyond.join(",")}|${model.key(next)}`;
      if (seen.has(key)) continue;
      if (seen.size >= maxStates) return "unknown";
      seen.add(key);
      stack.push(after);
    }
  }
  return "not-linearizable";
}

/** Indices that are not in the order yet and may be looked at before the earliest answer among them. */
function open<I>(calls: readonly Call<I>[], first: number, beyond: readonly number[]): number[] {
  const taken = new Set(beyond);
  const found: number[] = [];
  let untilMs = Number.POSITIVE_INFINITY;
  for (let index = first; index < calls.length; index++) {
    const call = calls[index];
    if (!call || call.invokedAtMs > untilMs) break;
    if (taken.has(index)) continue;
    found.push(index);
    untilMs = Math.min(untilMs, call.answeredAtMs);
  }
  return found;
}

function advanced<S>(node: Node<S>): Node<S> {
  let { first } = node;
  let done = 0;
  while (node.beyond[done] === first) {
    first++;
    done++;
  }
  return { state: node.state, first, beyond: node.beyond.slice(done) };
}
