import { expect, it } from "vitest";
import { burstOf } from "./wake.ts";

it("a cell that comes alone is looked at soon; among a thousand its changes share passes, and no pass waits long", () => {
  expect(burstOf(1)).toBeLessThan(250);
  expect(burstOf(100)).toBeLessThan(500);
  expect(burstOf(1_000)).toBe(2_000);
  expect(burstOf(100_000)).toBe(2_000);
});
