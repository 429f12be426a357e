import { expect, test } from "vitest";
import { createAdmission } from "./admission.ts";

test("lets a burst through, then as many as a minute allows", () => {
  let nowMs = 0;
  const admission = createAdmission(60, { nowMs: () => nowMs });
  const burst = Array.from({ length: 20 }, () => admission.admit()).filter(Boolean).length;
  expect(burst).toBe(10);
  expect(admission.admitting()).toBe(false);
  let admitted = 0;
  for (let second = 1; second <= 60; second++) {
    nowMs = second * 1_000;
    while (admission.admit()) admitted++;
  }
  expect(admitted).toBe(60);
});

test("a clock that goes back gives nothing away", () => {
  let nowMs = 1_000_000;
  const admission = createAdmission(6, { nowMs: () => nowMs });
  expect(admission.admit()).toBe(true);
  nowMs = 0;
  expect(admission.admit()).toBe(false);
  expect(admission.admitting()).toBe(false);
});

test("even the smallest center takes one", () => {
  expect(createAdmission(1, { nowMs: () => 0 }).admit()).toBe(true);
});
