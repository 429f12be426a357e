import fc from "fast-check";
import { expect, test } from "vitest";
import { newId, newUuid, parseId } from "./ids.ts";

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/);
const prefix = fc.stringMatching(/^[a-z]{2,8}$/);

test("an id gives back what it was made of", () => {
  fc.assert(
    fc.property(prefix, label, (kind, center) => {
      const id = newId(kind, center);
      expect(parseId(id)).toMatchObject({ prefix: kind, center });
    }),
  );
});

test("ids made later sort later", () => {
  const ids = Array.from({ length: 1_000 }, () => newUuid());
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(1_000);
});

test("nothing but an id is read as one", () => {
  const good = newId("ord", "seoul-mapo");
  expect(parseId(good)).toBeDefined();
  const wrong = [
    "",
    "ord",
    good.toUpperCase(),
    `${good}0`,
    good.slice(0, -1),
    ` ${good}`,
    `${good}\n`,
    good.replace("ord_", "o_"),
    good.replace("seoul-mapo", "-mapo"),
    good.replace("seoul-mapo", "a".repeat(41)),
    good.replace("seoul-mapo", "a_b"),
    // A UUID of another version did not come from here.
    "ord_seoul_123e4567-e89b-42d3-a456-426614174000",
  ];
  for (const id of wrong) expect(parseId(id), id).toBeUndefined();
  fc.assert(fc.property(fc.string({ maxLength: 120 }), (text) => parseId(text) === undefined));
});
