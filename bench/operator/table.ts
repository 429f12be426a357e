import type { Figures } from "./course.ts";

/** One line of the result: a figure of ours, the peer's, and how they compare. */
export interface Row {
  readonly metric: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number | undefined;
  /** How many times better ours is; undefined where the peer's is 0 or missing, or a ratio would mean nothing. */
  readonly ratio: number | undefined;
  /** Whether the goal is met; undefined where none was set. */
  readonly ok: boolean | undefined;
}

type Better = "more" | "less";

/** Compares two contenders; the goals are those of bench/README.md. */
export function compare(ours: Figures, peer: Figures | undefined): Row[] {
  const row = (
    metric: string,
    unit: string,
    pick: (figures: Figures) => number,
    options: { readonly better: Better; readonly goal?: (ours: number, peer: number | undefined) => boolean },
  ): Row => {
    const mine = pick(ours);
    const theirs = peer === undefined ? undefined : pick(peer);
    const ratio = ratioOf(mine, theirs, options.better);
    return { metric, unit, ours: mine, peer: theirs, ratio, ok: options.goal?.(mine, theirs) };
  };
  const less = { better: "less" } as const;
  const none = { better: "less", goal: (mine: number) => mine === 0 } as const;
  const notWorse = (factor: number) => ({
    better: "less" as const,
    goal: (mine: number, theirs: number | undefined) => theirs === undefined || mine <= theirs * factor,
  });
  const cpu = (name: string) => (figures: Figures) => figures.cpuSeconds[name] ?? 0;
  return [
    row("operator.ready_seconds", "s", (f) => f.readySeconds, less),
    row("operator.objects_per_second", "1/s", (f) => f.objectsPerSecond, {
      better: "more",
      goal: (mine, theirs) => theirs === undefined || mine >= theirs,
    }),
    row("operator.reconciles_per_second", "1/s", (f) => f.reconcilesPerSecond, { better: "more" }),
    row("operator.reconciles", "", (f) => f.reconciles, less),
    row("operator.calls_per_center", "", (f) => f.callsPerCenter, less),
    row("operator.mb_per_1000", "MB", (f) => f.mbPer1000, notWorse(1)),
    row("operator.peak_mb", "MB", (f) => f.peakMb, less),
    row("operator.idle_writes", "", (f) => f.idle.writes, none),
    row("operator.idle_lists", "", (f) => f.idle.lists, none),
    row("operator.idle_lease_calls", "", (f) => f.idle.lease, less),
    row("operator.event_to_write_p50_ms", "ms", (f) => f.eventToWriteMs.p50, less),
    row("operator.event_to_write_p99_ms", "ms", (f) => f.eventToWriteMs.p99, less),
    row("operator.restart_to_synced_seconds", "s", (f) => f.restart.seconds, notWorse(2)),
    row("operator.restart_writes", "", (f) => f.restart.writes, none),
    row("operator.batch_alone_p99_seconds", "s", (f) => f.neighbours.alone.p99, less),
    row("operator.batch_beside_broken_p99_seconds", "s", (f) => f.neighbours.besideBroken.p99, less),
    row("operator.cpu_seconds", "s", cpu("operator"), less),
    row("operator.cpu_seconds_apiserver", "s", cpu("kube-apiserver"), less),
    row("operator.cpu_seconds_etcd", "s", cpu("etcd"), less),
    row("operator.cpu_seconds_controllers", "s", cpu("kube-controller-manager"), less),
    row("operator.cpu_seconds_scheduler", "s", cpu("kube-scheduler"), less),
    row("operator.cpu_seconds_kwok", "s", cpu("kwok"), less),
    row("operator.machine_probe_ms", "ms", (f) => f.machine.probeMs, less),
    row("operator.machine_stolen_seconds", "s", (f) => f.machine.stolenSeconds, less),
  ];
}

function ratioOf(ours: number, peer: number | undefined, better: Better): number | undefined {
  if (peer === undefined || !(peer > 0) || !(ours > 0)) return undefined;
  return better === "more" ? ours / peer : peer / ours;
}

/** The rows as a table for people. A ratio above 1 means that ours is better; rows that lose say so. */
export function toText(rows: readonly Row[]): string {
  const cells = rows.map(({ metric, unit, ours, peer, ratio, ok }) => [
    metric,
    `${round(ours)} ${unit}`.trim(),
    peer === undefined ? "" : `${round(peer)} ${unit}`.trim(),
    ratio === undefined ? "" : `${ratio.toFixed(2)}x`,
    ok === false ? "misses its goal" : ratio !== undefined && ratio < 1 ? "loses" : "",
  ]);
  const all = [["metric", "fulfillment-cells", "controller-runtime", "ratio", ""], ...cells];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** At most three digits behind the point, fewer for large numbers. */
export function round(value: number): number {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Number(value.toFixed(digits));
}
