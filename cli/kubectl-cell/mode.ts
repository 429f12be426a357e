import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, MANAGER, ROUTING_TABLE } from "../../operator/api/names.ts";
import type { RoutingTable } from "../../operator/api/routing-table.ts";
import { findCondition, isDeleting } from "../../platform/kube/objects.ts";
import { CommandError, explain } from "./failure.ts";
import { followCenter } from "./follow.ts";
import { nextStep } from "./next-step.ts";
import { centerNamed, PLUGIN, type Session } from "./session.ts";

export type Mode = FulfillmentCenter["spec"]["mode"];

export interface ModeOptions {
  readonly name: string;
  readonly mode: Mode;
  readonly wait: boolean;
  readonly timeoutMs: number;
  readonly yes: boolean;
}

/** Exit code when --wait ran out of time. */
const OUT_OF_TIME = 3;

/** Writes the mode of a center and, when asked, follows it until the operator says that it is so. */
export async function runMode(session: Session, options: ModeOptions): Promise<number> {
  const { name, mode } = options;
  const { terminal } = session;
  const fc = await centerNamed(session, name);
  if (isDeleting(fc)) throw new CommandError(`${name} is being deleted: its mode changes nothing any more.`);
  if (fc.spec.mode === mode) terminal.note(`${name} is ${mode} already.`);
  else {
    terminal.note(consequence(fc, mode));
    for (const warning of [...ownerWarnings(fc), ...(await routingWarnings(session, fc, mode))])
      terminal.note(`Warning: ${warning}`);
    await agreed(session, options);
    await write(session, fc, mode);
    terminal.note(`${name} is set to ${mode}.`);
  }
  const reached = !options.wait || (await reach(session, options));
  const { sentence, command } = await lastWord(session, options, reached);
  terminal.print(`Next: ${sentence}${command === undefined ? "" : `\n  ${command}`}`);
  return reached ? 0 : OUT_OF_TIME;
}

/** What the change means, before it is made. */
export function consequence({ metadata: { name }, spec }: FulfillmentCenter, mode: Mode): string {
  if (mode === "Draining")
    return `${name} will take no new orders; gateways send them to other centers that cover the address. Open orders are finished.`;
  if (mode === "Fenced")
    return `${name} will take no writes at all: a Job shuts every writer out of its database, and open orders stand still until it is activated.`;
  return spec.mode === "Fenced"
    ? `${name} will write again: it gets a new epoch, and its services restart with it.`
    : `${name} will take new orders again.`;
}

async function agreed({ terminal }: Session, { name, mode, yes }: ModeOptions): Promise<void> {
  if (yes) return;
  if (!terminal.canAsk)
    throw new CommandError(
      `Nobody is there to ask whether ${name} shall be ${mode}: say --yes. Nothing was changed.`,
    );
  if (!(await terminal.confirm(`Set ${name} to ${mode}?`))) throw new CommandError("Nothing was changed.");
}

interface ManagedField {
  manager?: string;
  operation?: string;
  subresource?: string;
  fieldsV1?: { "f:spec"?: { "f:mode"?: unknown } };
}

/** Who else sets the mode, and would set it back: GitOps tools, and the next `kubectl apply` of a file that names it. */
export function ownerWarnings({ metadata }: FulfillmentCenter): string[] {
  const managers = ((metadata.managedFields ?? []) as ManagedField[])
    .filter(({ fieldsV1 }) => fieldsV1?.["f:spec"]?.["f:mode"] !== undefined)
    .map(({ manager = "" }) => manager)
    .filter(
      (manager) =>
        manager !== PLUGIN && manager !== MANAGER && !/^(kubectl|node-fetch|unknown)/.test(manager),
    );
  const applied = metadata.annotations?.["kubectl.kubernetes.io/last-applied-configuration"] ?? "";
  return [
    ...[...new Set(managers)].map(
      (manager) =>
        `${manager} sets spec.mode of this center and may set it back: change it where ${manager} takes it from.`,
    ),
    ...(/"mode":/.test(applied) && managers.length === 0
      ? ["the file that was applied names a mode: the next kubectl apply of it sets that one again."]
      : []),
  ];
}

async function routingWarnings(session: Session, fc: FulfillmentCenter, mode: Mode): Promise<string[]> {
  if (mode === "Active") return [];
  const table = await session.client.get<RoutingTable>(ROUTING_TABLE, { name: fc.spec.region });
  if (!table.ok) return [];
  const others = table.value.spec.cells.filter(({ name, weight }) => name !== fc.metadata.name && weight > 0);
  return others.length > 0
    ? []
    : [`no other center of region ${fc.spec.region} takes orders: new ones will be refused.`];
}

async function write(session: Session, fc: FulfillmentCenter, mode: Mode): Promise<void> {
  const { name } = fc.metadata;
  const answer = await session.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode } });
  if (answer.ok) return;
  throw new CommandError(explain(answer, `change the mode of ${name}`, session.server));
}

/** True once the operator has judged the present spec and says that the mode is in force. */
export function isReached(fc: FulfillmentCenter, mode: Mode): boolean {
  const { conditions, observedGeneration = -1 } = fc.status ?? {};
  if (fc.spec.mode !== mode || observedGeneration < (fc.metadata.generation ?? 0)) return false;
  const ready = findCondition(conditions, "Ready");
  const draining = findCondition(conditions, "Draining");
  if (mode === "Draining") return draining?.status === "True" && draining.reason === "Drained";
  if (mode === "Fenced") return ready?.status === "True" && ready.reason === "Fenced";
  return ready?.status === "True" && findCondition(conditions, "Available")?.status === "True";
}

/** The sentence that says how far it is. */
export function progressOf(fc: FulfillmentCenter, mode: Mode): string {
  const { conditions, observedGeneration = -1 } = fc.status ?? {};
  if (observedGeneration < (fc.metadata.generation ?? 0)) return "Waiting for the operator.";
  const type = mode === "Draining" ? "Draining" : mode === "Fenced" ? "Ready" : "Available";
  const ready = findCondition(conditions, "Ready");
  if (mode === "Active" && ready?.status !== "True") return ready?.message ?? "Waiting for the operator.";
  return findCondition(conditions, type)?.message ?? "Waiting for the operator.";
}

async function reach(session: Session, { name, mode, timeoutMs }: ModeOptions): Promise<boolean> {
  let told = "";
  return followCenter(
    session,
    name,
    (fc) => {
      if (fc === undefined) throw new CommandError(`${name} was deleted meanwhile.`);
      if (fc.spec.mode !== mode)
        throw new CommandError(
          `Somebody set ${name} to ${fc.spec.mode} meanwhile: see kubectl cell status ${name}.`,
        );
      const text = progressOf(fc, mode);
      if (text !== told) session.terminal.note(text);
      told = text;
      return isReached(fc, mode);
    },
    timeoutMs,
  );
}

async function lastWord(session: Session, { name, mode, wait }: ModeOptions, reached: boolean) {
  if (!wait) return { sentence: "see how far it is.", command: `kubectl cell status ${name}` };
  if (!reached)
    return {
      sentence: `it is not ${mode} yet, and goes on without you; see what it waits for.`,
      command: `kubectl cell status ${name}`,
    };
  return nextStep(await centerNamed(session, name));
}
