import { describe, expect, it } from "vitest";
import { sumOf } from "./contender.ts";
import type { Figures } from "./course.ts";
import { microseconds } from "./edits.ts";
import { quantiles } from "./quantiles.ts";
import { compare, toText } from "./table.ts";

function figures(contender: Figures["contender"], more: Partial<Figures> = {}): Figures {
  const spread = { p50: 1, p99: 2, max: 2, count: 2 };
  return {
    contender,
    centers: 10,
    objectsPerCenter: 38,
    readySeconds: 10,
    createSeconds: 1,
    objectsPerSecond: 38,
    reconciles: 30,
    reconcilesPerSecond: 3,
    cpuSeconds: { operator: 2, "kube-apiserver": 5 },
    machine: { probeMs: 8, stolenSeconds: 1 },
    calls: {},
    callsPerCenter: 40,
    refused: 0,
    peakMb: 100,
    idleMb: 80,
    mbPer1000: 300,
    idle: { seconds: 60, writes: 0, lists: 0, lease: 30 },
    eventToWriteMs: spread,
    restart: { seconds: 2, allSeconds: [2], calls: {}, writes: 0 },
    neighbours: { alone: spread, besideBroken: spread },
    ...more,
  };
}
const row = (ours: Figures, peer: Figures | undefined, metric: string) =>
  compare(ours, peer).find((one) => one.metric === metric);

describe("the table", () => {
  it("gives a ratio above 1 to what is better, whether more or less is", () => {
    const ours = figures("fulfillment-cells", { objectsPerSecond: 76, mbPer1000: 150 });
    const peer = figures("controller-runtime");
    expect(row(ours, peer, "operator.objects_per_second")).toMatchObject({ ratio: 2, ok: true });
    expect(row(ours, peer, "operator.mb_per_1000")).toMatchObject({ ratio: 2, ok: true });
  });

  it("keeps rows that lose and says so", () => {
    const ours = figures("fulfillment-cells", {
      objectsPerSecond: 19,
      idle: { seconds: 60, writes: 1, lists: 0, lease: 30 },
    });
    const peer = figures("controller-runtime");
    expect(row(ours, peer, "operator.objects_per_second")).toMatchObject({ ratio: 0.5, ok: false });
    expect(row(ours, peer, "operator.idle_writes")).toMatchObject({ ok: false });
    expect(toText(compare(ours, peer))).toMatch(/objects_per_second .* 0\.50x {2}misses its goal/);
  });

  it("has no ratio without a peer or with its 0", () => {
    const ours = figures("fulfillment-cells");
    expect(row(ours, undefined, "operator.ready_seconds")?.ratio).toBeUndefined();
    expect(row(ours, figures("controller-runtime"), "operator.idle_writes")?.ratio).toBeUndefined();
  });

  it("lets a restart take twice the peer's time, not more", () => {
    const peer = figures("controller-runtime");
    const restartedIn = (seconds: number) =>
      figures("fulfillment-cells", { restart: { seconds, allSeconds: [seconds], calls: {}, writes: 0 } });
    expect(row(restartedIn(4), peer, "operator.restart_to_synced_seconds")?.ok).toBe(true);
    expect(row(restartedIn(4.1), peer, "operator.restart_to_synced_seconds")?.ok).toBe(false);
  });
});

describe("what the figures are made of", () => {
  it("quantiles are values of the sample", () => {
    const sample = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(quantiles(sample)).toEqual({ p50: 50, p99: 99, max: 100, count: 100 });
    expect(quantiles([7])).toEqual({ p50: 7, p99: 7, max: 7, count: 1 });
    expect(quantiles([]).p99).toBeNaN();
  });

  it("times of the audit log keep their microseconds", () => {
    const start = microseconds("2026-11-21T08:00:00.999999Z");
    expect(microseconds("2026-11-21T08:00:01.000001Z") - start).toBe(2);
    expect(microseconds("2026-11-21T08:00:01Z") - start).toBe(1);
    expect(microseconds("2026-11-21T08:00:01.5Z") - start).toBe(500_001);
  });

  it("adds up the samples of the centers' controller only", () => {
    const text = [
      "# TYPE controller_runtime_reconcile_total counter",
      'controller_runtime_reconcile_total{controller="fulfillmentcenter",result="success"} 3',
      'controller_runtime_reconcile_total{controller="fulfillmentcenter",result="requeue"} 4',
      'controller_runtime_reconcile_total{controller="routingtable",result="success"} 9',
      'controller_runtime_reconcile_total_more{controller="fulfillmentcenter"} 9',
    ].join("\n");
    expect(sumOf(text, "controller_runtime_reconcile_total")).toBe(7);
  });
});
