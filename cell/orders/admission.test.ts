import { expect, test } from "vitest";
import { createAdmission } from "./admission.ts";

let users = 0;
const fresh = () => `u-${users++}`;
const isIn = (answer: string) => answer === "admitted";

test("lets a burst through, then as many as a minute allows", () => {
  let nowMs = 0;
  const admission = createAdmission(60, { nowMs: () => nowMs });
  const burst = Array.from({ length: 20 }, () => admission.admit(fresh())).filter(isIn).length;
  expect(burst).toBe(10);
  expect(admission.admitting()).toBe(false);
  let admitted = 0;
  for (let second = 1; second <= 60; second++) {
    nowMs = second * 1_000;
    while (isIn(admission.admit(fresh()))) admitted++;
  }
  expect(admitted).toBe(60);
});

test("a clock that goes back gives nothing away", () => {
  let nowMs = 1_000_000;
  const admission = createAdmission(6, { nowMs: () => nowMs });
  expect(admission.admit("u")).toBe("admitted");
  nowMs = 0;
  expect(admission.admit("u")).toBe("full");
  expect(admission.admitting()).toBe(false);
});

test("even the smallest center takes one", () => {
  expect(createAdmission(1, { nowMs: () => 0 }).admit("u")).toBe("admitted");
});

test("one user gets a share, and the others the rest", () => {
  let nowMs = 0;
  const admission = createAdmission(6_000, { nowMs: () => nowMs });
  const greedy = Array.from({ length: 3_000 }, () => {
    nowMs += 10;
    return admission.admit("greedy");
  });
  // A bucket of a quarter of a minute's worth at the start, and as much in the half minute that passed.
  const had = greedy.filter(isIn).length;
  expect(had).toBeGreaterThanOrEqual(2_240);
  expect(had).toBeLessThanOrEqual(2_260);
  expect(greedy.at(-1)).toBe("too-many");
  expect(admission.admit("modest")).toBe("admitted");
});

test("forgets users before it remembers too many", () => {
  const admission = createAdmission(1_000_000, { nowMs: () => 0 });
  for (let user = 0; user < 20_000; user++) expect(admission.admit(`u-${user}`)).toBe("admitted");
});
