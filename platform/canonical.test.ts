import fc from "fast-check";
import { expect, it } from "vitest";
import { canonicalJson } from "./canonical.ts";

it("is JSON of the same value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

it("is the same in whatever order the keys come", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      expect(canonicalJson(reversed)).toBe(canonicalJson(value));
    }),
  );
});

it.each([
  [undefined, "null"],
  [{ b: 1, a: undefined, c: [undefined, 2] }, '{"b":1,"c":[null,2]}'],
  [JSON.parse('{"a":2,"__proto__":1}'), '{"__proto__":1,"a":2}'],
  [{ z: { y: [], x: {} }, a: null }, '{"a":null,"z":{"x":{},"y":[]}}'],
])("leaves out what JSON leaves out: %j", (value, text) => {
  expect(canonicalJson(value)).toBe(text);
});
