import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differences, isWithin } from "./differences.ts";

const word = fc.constantFrom("a", "b", "c d");
const leaf = fc.constantFrom(undefined, null, 0, 1, "", "x", true);
const tree = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(word, tie("tree"), { maxKeys: 3 }),
  ),
})).tree;

describe("what is desired is in the live object", () => {
  it.each([
    ["a field that others set stands beside", { a: 1, b: 2 }, { a: 1 }, []],
    ["a value differs", { a: { b: 1 } }, { a: { b: 2 } }, ["a.b"]],
    ["a field is missing", { a: {} }, { a: { b: 1, c: [] } }, ["a.b", "a.c"]],
    ["a list is longer", { a: [1, 2] }, { a: [1] }, ["a"]],
    ["an item of a list differs", { a: [{ b: 1 }] }, { a: [{ b: 2 }] }, ["a[0].b"]],
    ["an empty map need not be there", {}, { a: {} }, []],
    ["null is no empty map", { a: null }, { a: {} }, ["a"]],
    ["nothing is asked for", { a: 1 }, { a: undefined }, []],
    ["a name is not plain", { "x/y": 1 }, { "x/y": 2 }, ['["x/y"]']],
  ])("%s", (_case, live, desired, paths) => {
    expect(differences(live, desired)).toEqual(paths);
    expect(isWithin(live, desired)).toBe(paths.length === 0);
  });

  it("the quick answer is that of the paths", () => {
    fc.assert(
      fc.property(tree, tree, (live, desired) => {
        expect(isWithin(live, desired)).toBe(differences(live, desired).length === 0);
        // What is copied is in its original.
        expect(isWithin(live, structuredClone(live))).toBe(differences(live, live).length === 0);
      }),
      { numRuns: 2_000 },
    );
  });
});
