import { expect, it } from "vitest";
import { createProgress } from "../../local/progress.ts";
import { runOrdersBench } from "./bench.ts";

it("places orders at a Compact cell and finds each of them in the books", async () => {
  const { rounds, rows } = await runOrdersBench({
    ...{ rounds: 1, seconds: 5, callers: 4, skus: 20, linesPerOrder: 2 },
    progress: createProgress({ stream: { write: () => true } }),
    signal: AbortSignal.timeout(600_000),
  });
  // Each measurement was proved, from the holds to the pick lists, before it became a figure.
  for (const { peak, at50, at80 } of rounds)
    for (const { accepted, refused } of [peak, at50, at80]) {
      expect(accepted).toBeGreaterThan(0);
      expect(refused).toBe(0);
    }
  const units = Object.fromEntries(rows.map(({ metric, unit }) => [metric, unit]));
  expect(units).toMatchObject({ "orders.throughput": "1/s", "orders.p99_ms": "ms" });
  for (const row of rows) {
    expect(row).toMatchObject({ peer: null, theirs: null, ratio: null });
    expect(row.ours).toBeGreaterThan(0);
    expect(row.samples.ours).toHaveLength(1);
  }
}, 600_000);
