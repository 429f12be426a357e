import { formatDuration } from "../progress.ts";
import type { DrillResult, PhaseCount } from "./drill.ts";
import type { Facts } from "./facts.ts";
import type { Center } from "./load.ts";

export interface DemoResult {
  readonly centers: readonly Center[];
  readonly readySeconds: readonly number[];
  readonly facts: Facts;
  readonly drill: DrillResult;
  readonly complaints: readonly string[];
  readonly setupMs: number;
  readonly mainMs: number;
  readonly longest: { readonly title: string; readonly tookMs: number } | undefined;
}

/** The same facts for a machine. */
export function toJson(result: DemoResult): unknown {
  const { facts, drill } = result;
  const { open: _open, ...orders } = facts.orders;
  return {
    cells: result.centers.length,
    readySeconds: result.readySeconds,
    orders,
    captures: facts.captures,
    drill: {
      otherCellErrors: drill.otherCellErrors,
      otherCellRetries: drill.otherCellRetries,
      rerouted: drill.rerouted,
      acceptedLost: drill.acceptedLost,
      detectSeconds: drill.detectSeconds,
      recoverSeconds: drill.recoverSeconds,
      downSeconds: drill.downSeconds,
      orders: facts.drillOrders,
    },
    oversold: facts.oversold,
    duplicateOrders: facts.duplicateOrders,
    setupSeconds: Math.round(result.setupMs / 1000),
    mainSeconds: Math.round(result.mainMs / 1000),
    complaints: result.complaints,
  };
}

/** The end of the demo, for people. */
export function toText(result: DemoResult): string {
  const { facts, drill, centers } = result;
  const { orders } = facts;
  const lines = [
    "",
    "  CELLS",
    ...centers.map(
      ({ name, topology }, index) =>
        `    ${name.padEnd(16)} ${topology.padEnd(9)} Ready after ${result.readySeconds[index]} s`,
    ),
    "",
    "  ORDERS                                  MONEY AND STOCK, read back from the books",
    pair(
      `delivered        ${orders.delivered}`,
      `captures           ${facts.captures.count} for ${facts.captures.distinctOrders} orders`,
    ),
    pair(`cancelled        ${orders.cancelled}`, `oversold units     ${facts.oversold}`),
    pair(`payment failed   ${orders.paymentFailed}`, `duplicate orders   ${facts.duplicateOrders}`),
    pair(
      `refused          ${orders.rejected} (nobody delivers there)`,
      `accepted but lost  ${drill.acceptedLost}`,
    ),
    "",
    `  DRILL: ${drill.killed} was dead for ${drill.downSeconds} s; ${facts.drillOrders.delivered} orders of the drill were delivered`,
    ...table(drill.rows, drill),
    "",
    `    ${drill.other}: ${drill.otherCellErrors} errors, ${drill.otherCellRetries} retries by the gateway`,
    `    taken out of routing after ${drill.detectSeconds} s; ${drill.rerouted} orders went to ${drill.other} instead`,
    `    whole again to last accepted order delivered: ${drill.recoverSeconds} s`,
    "",
    `  TIME   set-up ${formatDuration(result.setupMs)}, main job ${formatDuration(result.mainMs)}${longestOf(result)}`,
    "",
  ];
  if (result.complaints.length > 0)
    lines.push("  NOT AS IT SHOULD BE", ...result.complaints.map((complaint) => `    ${complaint}`), "");
  return lines.join("\n");
}

function longestOf({ longest }: DemoResult): string {
  return longest ? `; the longest step was "${longest.title}" with ${formatDuration(longest.tookMs)}` : "";
}

function pair(left: string, right: string): string {
  return `    ${left.padEnd(38)}  ${right}`;
}

function table(rows: readonly PhaseCount[], drill: DrillResult): string[] {
  const head = ["", "delivered to", "sent", drill.killed, drill.other, "refused", "because"];
  const body = (["before", "during", "after"] as const).flatMap((phase) =>
    rows
      .filter((row) => row.phase === phase)
      .map((row, index) => {
        const isOther = row.area === `only ${drill.other}`;
        const [killed, other] = isOther
          ? [row.acceptedElsewhere, row.acceptedHere]
          : [row.acceptedHere, row.acceptedElsewhere];
        const reasons = [...row.reasons].map(([reason, times]) => `${reason} ${times}`).join(", ");
        return [
          index === 0 ? phase : "",
          row.area,
          `${row.sent}`,
          `${killed}`,
          `${other}`,
          `${row.refused}`,
          reasons,
        ];
      }),
  );
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const format = (cells: readonly string[]) =>
    `    ${cells.map((cell, column) => (column >= 2 && column <= 5 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))).join("  ")}`.trimEnd();
  return [format(head), ...body.map(format)];
}
