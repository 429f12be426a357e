import type { CenterReport, StepReport } from "./report.ts";
import { painter, type Style, type Terminal, wrap } from "./terminal.ts";

type Paint = (style: Style, text: string) => string;
type Screen = Pick<Terminal, "columns" | "colours">;

const MARKS: Readonly<Record<StepReport["state"], readonly [string, Style]>> = {
  done: ["✓", "green"],
  waiting: ["…", "yellow"],
  unknown: ["?", "dim"],
};
const LABEL_WIDTH = 10;
const STEP_WIDTH = 16;

/** One screen about one center; the last line says what to do next. */
export function statusScreen(report: CenterReport, screen: Screen, nowMs: number): string {
  const paint = painter(screen.colours);
  const { columns } = screen;
  const blocks = [
    [headline(report, paint, nowMs), wrap(report.summary, columns, "")].join("\n"),
    facts(report, columns),
    stepLines(report.steps, columns, paint),
    remarkLines(report, columns, paint),
    eventLines(report, columns, paint, nowMs),
    nextLines(report, columns, paint),
  ];
  return blocks.filter((block) => block !== "").join("\n\n");
}

/** One line for each center, the widest words deciding the columns; then what to look at first. */
export function statusTable(reports: readonly CenterReport[], screen: Screen, nowMs: number): string {
  if (reports.length === 0)
    return "There are no centers.\n\nNext: make one: kubectl cell plan -f FILE shows what it will be, kubectl apply -f FILE makes it.";
  const paint = painter(screen.colours);
  const rows = reports.map((report) => [
    report.name,
    report.phase,
    report.mode,
    report.region,
    servicesText(report),
    routingText(report) ?? "-",
    ageOf(report.created, nowMs),
    report.summary,
  ]);
  const titles = ["NAME", "PHASE", "MODE", "REGION", "SERVICES", "ROUTING", "AGE", "MESSAGE"];
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 2)))
      .join("")
      .trimEnd();
  const cut = (text: string) =>
    text.length <= screen.columns ? text : `${text.slice(0, screen.columns - 1)}…`;
  const coloured = (text: string, report: CenterReport) =>
    text.replace(report.phase.padEnd((widths[1] ?? 0) + 2), (word) => paint(phaseStyle(report), word));
  return [
    paint("bold", cut(line(titles))),
    ...rows.map((row, index) => coloured(cut(line(row)), reports[index]!)),
    "",
    tableNext(reports),
  ].join("\n");
}

function tableNext(reports: readonly CenterReport[]): string {
  const urgent = reports.find(({ remarks }) =>
    remarks.some(({ type }) => type === "DataLost" || type === "Stalled"),
  );
  const waiting = urgent ?? reports.find(({ phase }) => !["Ready", "Draining", "Fenced"].includes(phase));
  if (waiting === undefined) return "Next: nothing to do; kubectl cell status NAME tells more of one.";
  return `Next: look at ${waiting.name}, which is ${waiting.phase}: kubectl cell status ${waiting.name}`;
}

function headline(report: CenterReport, paint: Paint, nowMs: number): string {
  const words = [
    paint("bold", report.name),
    paint(phaseStyle(report), report.phase),
    `mode ${report.mode}${report.paused ? ", paused" : ""}`,
    `region ${report.region}`,
    ageOf(report.created, nowMs),
  ];
  return words.filter((word) => word !== "").join("  ");
}

function facts(report: CenterReport, columns: number): string {
  const { release, epoch, database } = report;
  const lines: [string, string | undefined][] = [
    ["Namespace", report.namespace],
    ["Services", servicesText(report)],
    [
      "Release",
      release.current === undefined
        ? "not rolled out yet"
        : `${release.current}${release.previous === undefined ? "" : ` (before: ${release.previous})`}`,
    ],
    [
      "Database",
      database.external === undefined
        ? `${database.engine}, volumes of ${database.storage}`
        : `run by somebody else at ${database.external}`,
    ],
    ["Routing", routingText(report) ?? "not in the table, or it may not be read"],
    [
      "Epoch",
      epoch.current === undefined
        ? "none yet"
        : `${epoch.current}${epoch.fenced === undefined ? "" : `, fenced with ${epoch.fenced}`}`,
    ],
  ];
  const indent = " ".repeat(LABEL_WIDTH + 1);
  return lines
    .map(
      ([label, text]) =>
        `${label.padEnd(LABEL_WIDTH)} ${wrap(text ?? "", columns - LABEL_WIDTH - 1, indent)}`,
    )
    .join("\n");
}

function servicesText({ services }: CenterReport): string {
  if (services.length === 0) return "none yet";
  const ready = services.filter((one) => one.ready >= one.replicas).length;
  const behind = services.filter((one) => one.ready < one.replicas);
  const list = behind.map((one) => `${one.name} ${one.ready}/${one.replicas}`).join(", ");
  return `${ready}/${services.length}${list === "" ? "" : ` (${list})`}`;
}

function routingText({ routing }: CenterReport): string | undefined {
  return routing === undefined ? undefined : `${routing.mode}, weight ${routing.weight}`;
}

function stepLines(steps: readonly StepReport[], columns: number, paint: Paint): string {
  const indent = " ".repeat(STEP_WIDTH + 4);
  return steps
    .map(({ name, state, message }) => {
      const [mark, style] = MARKS[state];
      return `${paint(style, mark)} ${name.padEnd(STEP_WIDTH)}  ${wrap(message, columns - indent.length, indent)}`;
    })
    .join("\n");
}

function remarkLines({ remarks, blockers }: CenterReport, columns: number, paint: Paint): string {
  return [
    ...remarks.map(({ type, reason, message }) =>
      wrap(`${paint(type === "Draining" ? "yellow" : "red", type)} (${reason}): ${message}`, columns, "  "),
    ),
    ...blockers.map(({ kind, name, reason }) =>
      wrap(`${paint("red", "Blocked")} by ${kind} ${name}: ${reason}`, columns, "  "),
    ),
  ].join("\n");
}

function eventLines({ events }: CenterReport, columns: number, paint: Paint, nowMs: number): string {
  if (events.length === 0) return "";
  const lines = events.map(({ time, type, reason, object, note }) => {
    const where = object.startsWith("FulfillmentCenter/") ? "" : ` ${object}`;
    const word = type === "Warning" ? paint("yellow", reason) : reason;
    return wrap(`  ${ageOf(time, nowMs).padEnd(4)} ${word}${where}: ${note}`, columns, "       ");
  });
  return [paint("bold", "Events"), ...lines].join("\n");
}

function nextLines({ next }: CenterReport, columns: number, paint: Paint): string {
  const sentence = wrap(`${paint("bold", "Next:")} ${next.sentence}`, columns, "  ");
  return next.command === undefined ? sentence : `${sentence}\n  ${next.command}`;
}

function phaseStyle({ phase }: CenterReport): Style {
  if (phase === "Ready") return "green";
  return ["Stalled", "DataLost", "Unavailable"].includes(phase) ? "red" : "yellow";
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "m"],
  [1, "s"],
];

/** Time since then in one unit, as kubectl prints it: "5d", "12m". */
export function ageOf(time: string | undefined, nowMs: number): string {
  const thenMs = Date.parse(time ?? "");
  if (Number.isNaN(thenMs)) return "";
  const seconds = Math.max(0, Math.floor((nowMs - thenMs) / 1000));
  const [size, unit] = UNITS.find(([one]) => seconds >= one * (one === 1 ? 0 : 2)) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${unit}`;
}
