import { randomBytes } from "node:crypto";
import { type FulfillmentCenter, specSchema } from "../../operator/api/fulfillment-center.ts";
import { systemChance } from "../../operator/chance.ts";
import { gatewayPublicKeys } from "../../operator/keys.ts";
import { observe } from "../../operator/observe.ts";
import { type FieldChange, fieldChanges } from "../../operator/preview/difference.ts";
import { type Preview, previewChange } from "../../operator/preview/preview.ts";
import { readSnapshot } from "../../operator/snapshot.ts";
import { formatTime, isDeleting, type KubeObject } from "../../platform/kube/objects.ts";
import { CommandError, explain } from "./failure.ts";
import { parseManifests, readManifest } from "./manifest.ts";
import { planText } from "./plan-text.ts";
import { centerNamed, findCenter, type Session } from "./session.ts";
import { operatorSettings } from "./settings.ts";
import { checkDeletion, storedAfterApply } from "./storing.ts";

export interface PlanOptions {
  readonly file?: string | undefined;
  readonly delete?: string | undefined;
  readonly operatorNamespace?: string | undefined;
  readonly json: boolean;
  /** Exit code 2 when something would change. */
  readonly exitCode: boolean;
}

/** What a plan says about one center. */
export interface CenterPlan {
  readonly center: string;
  readonly action: "create" | "change" | "delete" | "none";
  /** Changes of the center itself. */
  readonly fields: readonly FieldChange[];
  /** What had to be assumed or left out, and what the user should know besides. */
  readonly notes: readonly string[];
  readonly preview: Preview;
}

/** Prints what applying a file, or deleting a center, will do. Exit code 0, or 2 with --exit-code when something changes. */
export async function runPlan(session: Session, options: PlanOptions): Promise<number> {
  const plans: CenterPlan[] = [];
  const { file, terminal } = { file: options.file, terminal: session.terminal };
  if (options.delete !== undefined) plans.push(await planDeletionOf(session, options.delete, options));
  else if (file !== undefined) {
    const { centers, others } = parseManifests(readManifest(file), file);
    if (others.length > 0)
      terminal.note(`Not looked at, because they are no FulfillmentCenters: ${others.join(", ")}`);
    for (const manifest of centers) plans.push(await planApply(session, manifest, options));
  } else
    throw new CommandError(
      "Say what to preview: kubectl cell plan -f FILE, or kubectl cell plan --delete NAME.",
    );
  terminal.print(
    options.json
      ? JSON.stringify({ plans }, null, 2)
      : plans.map((plan) => planText(plan, terminal)).join("\n\n"),
  );
  return options.exitCode && plans.some(changesSomething) ? 2 : 0;
}

export function changesSomething({ action, preview }: CenterPlan): boolean {
  return action !== "none" || preview.changes.length > 0 || preview.routing.length > 0;
}

async function planApply(session: Session, manifest: KubeObject, options: PlanOptions): Promise<CenterPlan> {
  const current = await findCenter(session, manifest.metadata.name);
  const { center: next, note } = await storedAfterApply(session, manifest, current);
  const spec = (one: FulfillmentCenter | undefined): KubeObject => ({
    apiVersion: "",
    kind: "",
    metadata: {
      name: "",
      ...(one?.metadata.labels === undefined ? {} : { labels: one.metadata.labels }),
      annotations: withoutHistory(one?.metadata.annotations),
    },
    spec: one?.spec ?? {},
  });
  const fields = current === undefined ? [] : fieldChanges(spec(current), spec(next));
  const notes = note === undefined ? [] : [note];
  if (current !== undefined && isDeleting(current))
    notes.push("The center is being deleted: that goes on, whatever is applied.");
  const action = current === undefined ? "create" : fields.length > 0 ? "change" : "none";
  return {
    center: next.metadata.name,
    action,
    fields,
    ...(await previewOf(session, current, next, notes, options)),
  };
}

async function planDeletionOf(session: Session, name: string, options: PlanOptions): Promise<CenterPlan> {
  const current = await centerNamed(session, name);
  const note = await checkDeletion(session, current);
  const deletionTimestamp = current.metadata.deletionTimestamp ?? formatTime(session.nowMs());
  const next = { ...current, metadata: { ...current.metadata, deletionTimestamp } };
  const notes = note === undefined ? [] : [note];
  return {
    center: name,
    action: "delete",
    fields: [],
    ...(await previewOf(session, current, next, notes, options)),
  };
}

async function previewOf(
  session: Session,
  current: FulfillmentCenter | undefined,
  next: FulfillmentCenter,
  notes: readonly string[],
  options: PlanOptions,
): Promise<Pick<CenterPlan, "preview" | "notes">> {
  const { client, server } = session;
  const { settings, note } = await operatorSettings(session, options.operatorNamespace, current);
  const { region } = specSchema.parse(next.spec);
  const read = await readSnapshot({
    client,
    center: next.metadata.name,
    region,
    operatorNamespace: settings.namespace,
  });
  if (!read.ok) throw new CommandError(explain(read, `read the cell of ${next.metadata.name}`, server));
  const { stores, unreadable } = read.snapshot;
  const keys = gatewayPublicKeys(stores, settings.namespace, region);
  const observed = await observe(stores, next, keys ?? [{ kid: "(not read)" }], systemChance);
  const hidden = unreadable.length > 0 || (keys === undefined && current !== undefined);
  const preview = previewChange({
    current,
    next,
    observed,
    settings,
    nowMs: session.nowMs(),
    random: () => randomBytes(16).toString("hex"),
    assumed: note !== undefined || hidden,
  });
  return { preview, notes: [...notes, ...(note === undefined ? [] : [note]), ...unreadNotes(unreadable)] };
}

function unreadNotes(unreadable: readonly string[]): string[] {
  if (unreadable.length === 0) return [];
  return [
    `You may not read ${unreadable.join(", ")}: what the cell has of them is assumed to be as the operator left it.`,
  ];
}

function withoutHistory(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { "kubectl.kubernetes.io/last-applied-configuration": _last, ...rest } = annotations;
  return rest;
}
