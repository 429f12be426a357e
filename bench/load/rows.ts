import { writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { round } from "../operator/table.ts";

/** One figure of ours beside one peer's, taken in the same run. `samples` has one value for each round; the figures are their medians. */
export interface Row {
  readonly metric: string;
  /** `null` where nothing is compared. */
  readonly peer: string | null;
  readonly unit: string;
  readonly ours: number;
  readonly theirs: number | null;
  /** Above 1: ours is better. */
  readonly ratio: number | null;
  readonly spread: { readonly ours: Span; readonly theirs: Span | null };
  readonly samples: { readonly ours: readonly number[]; readonly theirs: readonly number[] | null };
  /** Whether the goal is met; absent where none was set. */
  readonly ok?: boolean;
}

type Span = readonly [least: number, most: number];

export interface Measured {
  readonly metric: string;
  readonly unit: string;
  readonly better: "more" | "less";
  readonly ours: readonly number[];
  /** With `goal`: what is wished of our figure and of the ratio. */
  readonly goal?: (ours: number, ratio: number | null) => boolean;
}

/** Makes the row of one figure and one peer. */
export function toRow(
  measured: Measured,
  peer: { readonly name: string; readonly samples: readonly number[] } | null,
): Row {
  const ours = median(measured.ours);
  const theirs = peer === null ? null : median(peer.samples);
  const ratio = theirs === null ? null : measured.better === "more" ? ours / theirs : theirs / ours;
  return {
    metric: measured.metric,
    peer: peer?.name ?? null,
    unit: measured.unit,
    ours: round(ours),
    theirs: theirs === null ? null : round(theirs),
    ratio: ratio === null ? null : Number(ratio.toPrecision(3)),
    spread: { ours: spanOf(measured.ours), theirs: peer === null ? null : spanOf(peer.samples) },
    samples: { ours: measured.ours.map(round), theirs: peer?.samples.map(round) ?? null },
    ...(measured.goal === undefined ? {} : { ok: measured.goal(ours, ratio) }),
  };
}

/** The middle of the values, or the mean of the two in the middle. Throws when there are none: no figure is better than a made-up one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const high = sorted[sorted.length >> 1];
  const low = sorted[(sorted.length - 1) >> 1];
  if (high === undefined || low === undefined) throw new Error("There is no figure without a sample.");
  return (low + high) / 2;
}

function spanOf(values: readonly number[]): Span {
  return [round(Math.min(...values)), round(Math.max(...values))];
}

/** What a run was made with, so that two runs can be told apart. */
export interface Report {
  readonly bench: string;
  readonly versions: Readonly<Record<string, string>>;
  /** How each contender works that a reader must know to judge the figures; isolation levels above all. */
  readonly contenders: Readonly<Record<string, string>>;
  readonly setUp: Readonly<Record<string, number | string>>;
  readonly rows: readonly Row[];
}

/** Writes the report for machines, with this machine and what else it had to do. */
export function writeReport(file: string, report: Report): void {
  const [cpu] = cpus();
  const machine = {
    cpus: cpus().length,
    model: cpu?.model ?? "",
    memoryGb: Math.round(totalmem() / 2 ** 30),
    loadAverageAtEnd: loadavg().map(round),
  };
  writeFileSync(file, `${JSON.stringify({ ...report, machine }, undefined, 2)}\n`);
}

/** The rows for people. Rows that lose stay, and say so. */
export function toText(rows: readonly Row[]): string {
  const span = (of: Span | null) => (of === null ? "" : `${of[0]}-${of[1]}`);
  const cells = rows.map(({ metric, peer, unit, ours, theirs, ratio, spread, ok }) => [
    metric,
    `${ours} ${unit}`,
    span(spread.ours),
    peer ?? "",
    theirs === null ? "" : `${theirs} ${unit}`,
    span(spread.theirs),
    ratio === null ? "" : `${ratio}x`,
    [ok === false ? "misses its goal" : "", ratio !== null && ratio < 1 ? "loses" : ""]
      .filter((word) => word !== "")
      .join(", "),
  ]);
  const all = [["metric", "ours", "spread", "peer", "theirs", "spread", "ratio", ""], ...cells];
  const left = new Set([0, 3, 7]);
  const widths = all[0]?.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0))) ?? [];
  const pad = (text: string, column: number) =>
    left.has(column) ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return all.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}
