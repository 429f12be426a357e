import { expect, test } from "vitest";
import { createMetrics } from "../../platform/metrics.ts";
import { fullest, NAMED_SKUS } from "./saturation.ts";

test("the fullest SKUs come first, and those of which nothing is held are not named", () => {
  const found = fullest([
    { sku: "half", sellable: 10, reserved: 5 },
    { sku: "idle", sellable: 10, reserved: 0 },
    { sku: "all", sellable: 4, reserved: 4 },
    { sku: "gone", sellable: 0, reserved: 2 },
    { sku: "over", sellable: 2, reserved: 3 },
  ]);
  expect(found).toEqual([
    { sku: "over", share: 1.5 },
    { sku: "all", share: 1 },
    { sku: "gone", share: 1 },
    { sku: "half", share: 0.5 },
  ]);
});

test("however many SKUs take their turns at being full, metrics name no more than a few at a time", async () => {
  const metrics = createMetrics({ service: "test" });
  const gauge = metrics.gauge("share", "x", ["sku"]);
  for (let round = 0; round < 300; round++) {
    const rows = Array.from({ length: NAMED_SKUS }, (_, n) => ({
      labels: { sku: `s${round}-${n}` },
      value: n,
    }));
    gauge.replace(rows);
  }
  const lines = (await metrics.render()).split("\n").filter((line) => line.startsWith("share{"));
  expect(lines).toHaveLength(NAMED_SKUS);
  expect(lines.every((line) => line.includes('sku="s299-'))).toBe(true);
});
