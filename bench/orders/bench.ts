import type { Progress } from "../../local/progress.ts";
import type { Latencies, Throughput } from "../load/drive.ts";
import { type Measured, type Row, toRow } from "../load/rows.ts";
import { openOrdersStage } from "./stage.ts";

export interface OrdersBenchOptions {
  readonly rounds: number;
  /** Length of each measurement. */
  readonly seconds: number;
  /** Customers who wait for their answers, when the peak is looked for. */
  readonly callers: number;
  readonly skus: number;
  readonly linesPerOrder: number;
  readonly profileDir?: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface OrdersRound {
  readonly peak: Throughput;
  /** At half and at four fifths of that peak. */
  readonly at50: Latencies;
  readonly at80: Latencies;
}

export interface OrdersBenchResult {
  readonly rounds: readonly OrdersRound[];
  readonly rows: readonly Row[];
}

interface Figure extends Omit<Measured, "ours"> {
  pick(round: OrdersRound): number;
}

const ms = { unit: "ms", better: "less" } as const;
/** With the goals of bench/README.md. */
const FIGURES: readonly Figure[] = [
  {
    ...{ metric: "orders.throughput", unit: "1/s", better: "more", pick: ({ peak }) => peak.perSecond },
    goal: (ours) => ours >= 1_000,
  },
  { ...ms, metric: "orders.p50_ms", pick: ({ at80 }) => at80.p50Ms },
  { ...ms, metric: "orders.p95_ms", pick: ({ at80 }) => at80.p95Ms },
  { ...ms, metric: "orders.p99_ms", pick: ({ at80 }) => at80.p99Ms, goal: (ours) => ours <= 100 },
  { ...ms, metric: "orders.half_load_p50_ms", pick: ({ at50 }) => at50.p50Ms },
  { ...ms, metric: "orders.half_load_p99_ms", pick: ({ at50 }) => at50.p99Ms },
];

/** Places orders over HTTP at a Compact cell, from the request to the answer that the order is confirmed. */
export async function runOrdersBench(options: OrdersBenchOptions): Promise<OrdersBenchResult> {
  const { progress, signal, seconds, callers } = options;
  const durationMs = seconds * 1000;
  const warmUpMs = Math.min(2_000, durationMs / 2);
  const stage = await progress.step("Start a Compact cell", "half a minute", () => openOrdersStage(options));
  const rounds: OrdersRound[] = [];
  let placed = 0;
  const proven = async <T extends { accepted: number }>(measuring: Promise<T>): Promise<T> => {
    const measured = await measuring;
    placed += measured.accepted;
    await stage.prove(placed);
    if (signal.aborted) throw new Error("Stopped.");
    return measured;
  };
  try {
    for (let round = 0; round < options.rounds; round++)
      await progress.step(
        `Round ${round + 1} of ${options.rounds}`,
        "its peak, then 50 and 80 % of that",
        async () => {
          const peak = await proven(
            stage.load.ask<Throughput>("peak", round, { callers, durationMs, warmUpMs }),
          );
          const steady = (share: number) =>
            proven(
              stage.load.ask<Latencies>("steady", round, { perSecond: peak.perSecond * share, durationMs }),
            );
          const at50 = await steady(0.5);
          const at80 = await steady(0.8);
          rounds.push({ peak, at50, at80 });
          progress.note(`${Math.round(peak.perSecond)}/s; at 80 % P99 ${at80.p99Ms.toFixed(0)} ms`);
        },
      );
  } finally {
    await stage.close();
  }
  const rows = FIGURES.map(({ pick, ...figure }) => toRow({ ...figure, ours: rounds.map(pick) }, null));
  return { rounds, rows };
}
