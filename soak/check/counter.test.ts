import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CounterCall, overdraft } from "./counter.ts";
import { type Call, type Model, search } from "./search.ts";

type Move = { readonly units: number };

/** The free units of a SKU, one call at a time. */
const counter = (stock: number): Model<number, Move> => ({
  initial: stock,
  step: (free, { units }) => (free + units >= 0 ? free + units : undefined),
  key: String,
});

const asSearched = (calls: readonly CounterCall[]): Call<Move>[] =>
  calls.map(({ kind, units, invokedAtMs, answeredAtMs }) => ({
    ...{ input: { units: kind === "put" ? units : -units }, invokedAtMs, answeredAtMs },
  }));

/** Every order, tried by hand: the meaning of the word, without any cleverness. */
function byPermutation(stock: number, calls: readonly CounterCall[]): boolean {
  const must = (left: readonly CounterCall[]) => left.some((call) => Number.isFinite(call.answeredAtMs));
  const go = (free: number, left: readonly CounterCall[]): boolean =>
    !must(left) ||
    left.some((call) => {
      if (left.some((other) => other !== call && other.answeredAtMs < call.invokedAtMs)) return false;
      const next = free + (call.kind === "put" ? call.units : -call.units);
      return (
        next >= 0 &&
        go(
          next,
          left.filter((other) => other !== call),
        )
      );
    });
  return go(stock, calls);
}

const callOf = fc
  .record({
    kind: fc.constantFrom("take" as const, "take" as const, "put" as const),
    units: fc.integer({ min: 1, max: 4 }),
    invokedAtMs: fc.integer({ min: 0, max: 12 }),
    lasts: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 6 }) },
      { weight: 1, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
    ),
  })
  .map(({ lasts, ...call }) => ({ ...call, answeredAtMs: call.invokedAtMs + lasts }));
const historyOf = (max: number) =>
  fc
    .array(callOf, { maxLength: max })
    .map((calls) => calls.map((call, index): CounterCall => ({ id: `c${index}`, ...call })));

describe("the search", () => {
  test("finds what trying every order finds", () => {
    fc.assert(
      fc.property(historyOf(6), fc.integer({ min: 0, max: 6 }), (calls, stock) => {
        expect(search(counter(stock), asSearched(calls)) === "linearizable").toBe(
          byPermutation(stock, calls),
        );
      }),
      { numRuns: 400 },
    );
  });

  test("says that it gave up", () => {
    const calls = Array.from({ length: 14 }, (_, index) => ({
      ...{ input: { units: -1 - (index % 3) }, invokedAtMs: 0, answeredAtMs: 100 },
    }));
    expect(search(counter(20), calls, 50)).toBe("unknown");
  });

  test("tells a read that is too old", () => {
    const register: Model<number, { write?: number; read?: number }> = {
      initial: 0,
      step: (value, { write, read }) => (read === undefined ? write : read === value ? value : undefined),
      key: String,
    };
    const write = { input: { write: 1 }, invokedAtMs: 0, answeredAtMs: 10 };
    const read = (value: number, invokedAtMs: number) => ({
      ...{ input: { read: value }, invokedAtMs, answeredAtMs: invokedAtMs + 1 },
    });
    expect(search(register, [write, read(0, 5), read(1, 7)])).toBe("linearizable");
    expect(search(register, [write, read(1, 5), read(0, 7)])).toBe("not-linearizable");
    expect(search(register, [write, read(0, 11)])).toBe("not-linearizable");
  });
});

describe("granted units of a bounded stock", () => {
  test("are judged exactly as the search judges them, without a search", () => {
    fc.assert(
      fc.property(historyOf(9), fc.integer({ min: 0, max: 8 }), (calls, stock) => {
        const found = search(counter(stock), asSearched(calls));
        expect(overdraft(stock, calls) === undefined).toBe(found === "linearizable");
      }),
      { numRuns: 1_500 },
    );
  });

  test("one too many is named", () => {
    const take = (id: string, invokedAtMs: number): CounterCall => ({
      ...{ id, kind: "take", units: 1, invokedAtMs, answeredAtMs: invokedAtMs + 5 },
    });
    const calls = [take("a", 0), take("b", 1), take("c", 2)];
    expect(overdraft(3, calls)).toBeUndefined();
    expect(overdraft(2, calls)).toEqual({ id: "c", atMs: 7, units: 1 });
    const back: CounterCall = { id: "p", kind: "put", units: 1, invokedAtMs: 7, answeredAtMs: 9 };
    expect(overdraft(2, [...calls, back])).toBeUndefined();
    expect(overdraft(2, [...calls, { ...back, invokedAtMs: 8 }])).toMatchObject({ id: "c" });
  });
});
