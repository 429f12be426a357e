import fc from "fast-check";
import { expect, test } from "vitest";
import { holdsCardNumber } from "./cards.ts";
import { newId } from "./ids.ts";

test.each([
  ["Visa", "4111111111111111"],
  ["Visa, in groups", "4111 1111 1111 1111"],
  ["Visa, with hyphens", "4111-1111-1111-1111"],
  ["Visa, with points", "4111.1111.1111.1111"],
  ["Visa of 13 digits", "4222222222222"],
  ["Mastercard", "5555555555554444"],
  ["Mastercard of the newer range", "2223003122003222"],
  ["American Express", "3782 822463 10005"],
  ["Diners", "30569309025904"],
  ["Diners as printed", "3056 930902 5904"],
  ["Discover", "6011111111111117"],
  ["JCB", "3530111333300000"],
  ["UnionPay of 19 digits", "6205500000000000004"],
  ["Korean", "9410000000000005"],
])("a card of %s is found", (_scheme, number) => {
  for (const value of [number, { a: [{ b: `pay with ${number}, please` }] }, { [number]: 1 }])
    expect(holdsCardNumber(value)).toBe(true);
});

test("a card dressed up as a token is found", () => {
  expect(holdsCardNumber({ method: "tok_4111111111111111" })).toBe(true);
});

test.each([
  "4111 1111 1111 1111 12/29",
  "4111 1111 1111 1111 123",
  "no. 1234 4111 1111 1111 1111",
  "4111111111111111 12/29 123",
])("a card with more beside it is found: %s", (text) => {
  expect(holdsCardNumber(text)).toBe(true);
});

test("a card as a number is found", () => {
  expect(holdsCardNumber({ amount: 4111111111111111 })).toBe(true);
});

test.each([
  ["a wrong check digit", "4111111111111112"],
  ["a telephone number", "+82 10-1234-5678"],
  ["no scheme's first digit", "1234567890123452"],
  ["too long", "41111111111111111111"],
  ["inside of a word", "tok4111111111111111x"],
  ["inside of a UUID", "41111111-1111-7111-8111-411111111111"],
  ["groups of different kinds", "4111 1111-1111 1111"],
  ["milliseconds", 1_763_756_000_000],
  ["the most that money may be", 1_000_000_000_000],
  ["nothing", null],
])("%s is no card", (_what, value) => {
  expect(holdsCardNumber({ value })).toBe(false);
});

test("no id of ours is taken for a card", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.constantFrom("ord", "int", "hld"), (uuid, prefix) => {
      expect(holdsCardNumber([uuid, `${prefix}_seoul-mapo_${uuid}`])).toBe(false);
    }),
    { numRuns: 5_000 },
  );
  for (let made = 0; made < 1_000; made++) expect(holdsCardNumber(newId("ord", "seoul"))).toBe(false);
});
