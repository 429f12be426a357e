import { expect, it } from "vitest";
import { createProgress } from "../../local/progress.ts";
import { runHoldsBench } from "./bench.ts";

it("takes holds in every contender that needs no packages of its own, and sets ours beside the peers", async () => {
  const { about, turns, rows } = await runHoldsBench({
    rounds: 1,
    seconds: 1,
    callers: 8,
    skus: 40,
    only: ["ours", "naive-lua", "ours-durable", "pg-update", "pg-for-update"],
    progress: createProgress({ stream: { write: () => true } }),
    signal: AbortSignal.timeout(600_000),
  });
  // Each turn was proved against the books of its contender before it became a figure.
  expect(turns).toHaveLength(5 * 2);
  for (const { peak, at50, at80 } of turns) {
    expect(peak.accepted).toBeGreaterThan(0);
    expect(at50.accepted).toBeGreaterThan(0);
    expect(at80.p99Ms).toBeGreaterThanOrEqual(at80.p50Ms);
  }
  expect(about["pg-update"]).toContain("read committed");
  expect(about["ours-durable"]).toContain("serializable");
  const named = (metric: string) => rows.filter((row) => row.metric === metric).map(({ peer }) => peer);
  expect(named("holds.hot.throughput")).toEqual(["naive-lua"]);
  expect(named("holds.hot.p95_ms")).toEqual(["naive-lua"]);
  expect(named("holds.hot.p99_ms")).toEqual(["naive-lua"]);
  expect(named("holds.zipf.throughput")).toEqual(["naive-lua"]);
  expect(named("holds.durable.throughput")).toEqual(["pg-update", "pg-for-update"]);
  expect(named("holds.durable.zipf.throughput")).toEqual(["pg-update", "pg-for-update"]);
  for (const row of rows) {
    expect(row).toMatchObject({ unit: expect.stringMatching(/^(1\/s|ms|us)$/) });
    expect(row.ours).toBeGreaterThan(0);
    expect(row.ratio).toBeGreaterThan(0);
    expect(row.samples.ours).toHaveLength(1);
  }
}, 600_000);
