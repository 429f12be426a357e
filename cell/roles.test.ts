import { expect, test } from "vitest";
import { SLICE_NAMES } from "../platform/slices.ts";
import { allMigrations, topicsOf } from "./provision.ts";
import { parseRoles, SLICES } from "./roles.ts";

test.each([
  ["orders", ["orders"]],
  ["orders, inventory", ["orders", "inventory"]],
  ["orders,orders", ["orders"]],
  ["", undefined],
  ["orders,", undefined],
  ["order", undefined],
])("%s", (text, expected) => {
  expect(parseRoles(text)).toEqual(expected);
});

test("every slice is there under its own name", () => {
  for (const name of SLICE_NAMES) expect(SLICES[name].name).toBe(name);
});

test("a cell has a topic and one for dead letters for each slice", () => {
  expect(topicsOf("seoul")).toHaveLength(2 * SLICE_NAMES.length);
  expect(new Set(topicsOf("seoul")).size).toBe(2 * SLICE_NAMES.length);
});

test("every slice has the common tables before its own, and no two files one name", async () => {
  const names = (await allMigrations()).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const slice of SLICE_NAMES) {
    const own = names.filter((name) => name.startsWith(`${slice}/`));
    expect(own[0]).toBe(`${slice}/template-1`);
    expect(own.length).toBeGreaterThan(1);
  }
});
