import { ANNOTATIONS } from "../../operator/api/names.ts";
import type { FieldChange } from "../../operator/preview/difference.ts";
import type { ObjectChange } from "../../operator/preview/preview.ts";
import type { CenterPlan } from "./plan.ts";
import { painter, type Style, type Terminal, wrap } from "./terminal.ts";

const MAX_FIELDS = 12;
const MARKS = { create: ["+", "green"], change: ["~", "yellow"], delete: ["-", "red"] } as const;
type Paint = (style: Style, text: string) => string;

/** A plan for people: what changes by kind, what restarts in which order, and the totals in the last line. */
export function planText(plan: CenterPlan, terminal: Pick<Terminal, "columns" | "colours">): string {
  const paint = painter(terminal.colours);
  const { columns } = terminal;
  const { preview } = plan;
  const sections = [
    [headline(plan, paint), ...fieldLines(plan.fields, "  ", paint)].join("\n"),
    ...plan.notes.map((note) => paint("dim", wrap(`Note: ${note}`, columns, "  "))),
    ...section("Already under way, without this change", changeLines(preview.pending, columns, paint), paint),
    ...section("What changes in the cell", changeLines(preview.changes, columns, paint), paint),
    ...section("Routing table", routingLines(plan, paint), paint),
    ...section("What restarts, in this order", effectLines(plan, columns, paint), paint),
    ...section("What is left", leftLines(plan, columns, paint), paint),
    ...(preview.stopped === undefined
      ? []
      : [paint("yellow", wrap(`The operator will not go on: ${preview.stopped}`, columns, "  "))]),
    totals(plan),
  ];
  return sections.join("\n\n");
}

function headline({ center, action, fields }: CenterPlan, paint: Paint): string {
  const words = {
    create: "is made",
    change: `changes in ${count(fields.length, "field")}`,
    delete: "is deleted",
    none: "stays as it is",
  };
  return paint("bold", `FulfillmentCenter ${center} ${words[action]}`);
}

function section(title: string, lines: readonly string[], paint: Paint): string[] {
  return lines.length === 0 ? [] : [[paint("bold", title), ...lines].join("\n")];
}

/** Kinds in the order of their first change; made and deleted objects of a kind share a line. */
function changeLines(changes: readonly ObjectChange[], columns: number, paint: Paint): string[] {
  const kinds = [...new Set(changes.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const named = (action: ObjectChange["action"]) =>
      changes.filter((one) => one.kind === kind && one.action === action);
    const together = (action: "create" | "delete") => {
      const names = named(action).map(({ name }) => name);
      const [mark, style] = MARKS[action];
      return names.length === 0
        ? []
        : [`    ${paint(style, wrap(`${mark} ${names.join(", ")}`, columns - 4, "      "))}`];
    };
    return [
      `  ${kind}`,
      ...together("create"),
      ...named("change").flatMap(({ name, fields }) => [
        `    ${paint("yellow", `~ ${name}`)}`,
        ...fieldLines(fields, "        ", paint),
      ]),
      ...together("delete"),
    ];
  });
}

function fieldLines(fields: readonly FieldChange[], indent: string, paint: Paint): string[] {
  const shown = fields.slice(0, MAX_FIELDS).map(({ path, before, after }) => {
    const values = `${before ?? "(not set)"} → ${after ?? "(not set)"}`;
    return `${indent}${path}: ${paint("dim", values)}`;
  });
  const more = fields.length - shown.length;
  return more > 0 ? [...shown, `${indent}… and ${count(more, "more field")}`] : shown;
}

function routingLines({ action, preview: { routing } }: CenterPlan, paint: Paint): string[] {
  if (routing.length === 0) return [];
  const entered = routing.every(({ before }) => before === undefined);
  const left = routing.every(({ after }) => after === undefined);
  const weight = routing.find(({ path }) => path === "weight");
  if (entered)
    return [
      `  ${paint("green", "+")} gateways learn of the cell; it takes orders (weight ${weight?.after}) once it is available`,
    ];
  if (left || action === "delete") return [`  ${paint("red", "-")} gateways send it no more orders`];
  return fieldLines(routing, "  ", paint);
}

function effectLines({ preview: { steps } }: CenterPlan, columns: number, paint: Paint): string[] {
  return steps.flatMap(({ effects }, index) =>
    effects.map(({ object, what, note }, position) => {
      const number = position === 0 ? `${index + 1}.` : "";
      const [kind, name] = object.split("/");
      const word = {
        restart: "restarts",
        scale: "scales",
        start: "starts",
        stop: "stops",
        run: "runs",
        grow: "grows",
      }[what];
      const text = `${kind} ${name} ${what === "restart" ? paint("yellow", word) : word}: ${note}`;
      return `  ${number.padEnd(3)} ${wrap(text, columns - 6, "      ")}`;
    }),
  );
}

function leftLines({ preview: { left } }: CenterPlan, columns: number, paint: Paint): string[] {
  if (left === undefined) return [];
  const line = (style: Style, word: string, names: readonly string[]) =>
    names.length === 0
      ? []
      : [`  ${paint(style, word)} ${wrap(names.join(", "), columns - 10, "         ")}`];
  const heir =
    left.adopt === undefined
      ? []
      : [`  a new center takes it over with the annotation ${ANNOTATIONS.adopt}=${left.adopt}`];
  return [...line("green", "kept:  ", left.kept), ...line("red", "lost:  ", left.lost), ...heir];
}

function totals({ action, preview }: CenterPlan): string {
  const { changes, steps } = preview;
  const effects = steps.flatMap((step) => step.effects);
  const of = (wanted: ObjectChange["action"]) => changes.filter((one) => one.action === wanted).length;
  const restarts = effects.filter(({ what }) => what === "restart").length;
  const jobs = effects.filter(({ what }) => what === "run").length;
  if (action === "none" && changes.length === 0) return "Plan: nothing changes, nothing restarts.";
  return (
    `Plan: ${of("create")} to make, ${of("change")} to change, ${of("delete")} to delete; ` +
    `${restarts === 0 ? "nothing restarts" : `${count(restarts, "workload")} ${restarts === 1 ? "restarts" : "restart"}`}` +
    `${jobs === 0 ? "" : `, ${count(jobs, "Job")} ${jobs === 1 ? "runs" : "run"}`}.`
  );
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
