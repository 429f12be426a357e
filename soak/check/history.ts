/** One line that a recorder wrote about a call between slices. Times are of the machine's monotonic clock, in milliseconds. */
export interface Line {
  /** Which process saw it. */
  readonly process: string;
  readonly atMs: number;
  readonly what: "asked" | "answered" | "refused";
  /** The kind of call, such as `allocate`. */
  readonly call: string;
  /** What makes two calls the same: the hold, the release, the scan. */
  readonly key: string;
  readonly value?: unknown;
}

/** All calls of one kind under one key: a call that was cut off and its repetitions are one. */
export interface Operation {
  readonly call: string;
  readonly key: string;
  readonly invokedAtMs: number;
  /** Of the first good answer; infinite when nobody heard one. */
  readonly answeredAtMs: number;
  readonly asked: unknown;
  /** Good answers with when they came, in order. */
  readonly answers: readonly { readonly atMs: number; readonly value: unknown }[];
  readonly refusals: readonly { readonly atMs: number; readonly value: unknown }[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface Draft extends Mutable<Omit<Operation, "answers" | "refusals">> {
  answers: { atMs: number; value: unknown }[];
  refusals: { atMs: number; value: unknown }[];
}

/** Puts the lines of all recorders together, by `call key`. */
export function assemble(lines: Iterable<Line>): Map<string, Operation> {
  const found = new Map<string, Draft>();
  for (const line of [...lines].sort((left, right) => left.atMs - right.atMs)) {
    const { call, key, atMs, value } = line;
    const id = `${call} ${key}`;
    const own = found.get(id) ?? {
      ...{ call, key, invokedAtMs: atMs, answeredAtMs: Number.POSITIVE_INFINITY, asked: undefined },
      ...{ answers: [], refusals: [] },
    };
    found.set(id, own);
    if (line.what === "asked") own.asked ??= value;
    else if (line.what === "refused") own.refusals.push({ atMs, value });
    else {
      own.answeredAtMs = Math.min(own.answeredAtMs, atMs);
      own.answers.push({ atMs, value });
    }
  }
  return found;
}
