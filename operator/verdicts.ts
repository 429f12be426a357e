import type { Condition } from "../platform/kube/objects.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, LABELS } from "./api/names.ts";
import { degradedOf, isLeftAlone, storeStands } from "./degraded.ts";
import { type StepState, unknown } from "./errors.ts";
import type { Facts, Situation } from "./facts.ts";
import type { Observed } from "./observed.ts";
import { rotatingOf } from "./rotation.ts";
import type { Steps } from "./steps.ts";
import { rolloutOf } from "./workloads.ts";

/** Conditions that are steps on the way to a serving cell. */
const STEPS = [
  "Provisioned",
  "DatabaseReady",
  "SchemaMigrated",
  "CacheReady",
  "TopicsReady",
  "ServicesReady",
  "Isolated",
] as const;

/** One condition without its times. */
export type Verdict = readonly [status: Condition["status"], reason: string, message: string];

/** Every condition of a situation; `steps` is undefined when the pass builds nothing. */
export function verdictsOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  steps: Steps | undefined,
): Record<string, Verdict> {
  const states = Object.fromEntries(
    STEPS.map((type) => [type, steps?.[type] ?? NOT_CHECKED]),
  ) as unknown as Steps;
  const stop = stopOf(observed, situation, states);
  const available = availableOf(fc, observed, situation, states);
  const ready = readyOf(fc, situation, states, stop);
  const lost = "lostNamespace" in situation ? situation.lostNamespace : undefined;
  const verdicts: Record<string, Verdict> = {
    Ready: ready,
    Available: available,
    Reconciling: reconcilingOf(situation, ready, stop),
    Stalled:
      stop === undefined
        ? ["False", "Progressing", "Nothing waits for a person."]
        : ["True", stop.reason, stop.message],
    Degraded: degradedOf(fc, observed, situation, states, available),
    Draining: drainingOf(fc, observed),
    Rotating:
      situation.kind === "building"
        ? rotatingOf(situation.facts.credentials, situation.facts.rotation)
        : ["False", "NotRotating", "Credentials change only while the cell is being looked after."],
    Deleting:
      situation.kind === "deleting"
        ? ["True", situation.reason, situation.message]
        : ["False", "NotDeleting", "Nobody asked for a deletion."],
    DataLost:
      lost === undefined
        ? ["False", "DataPresent", "The cell has the namespace that its orders were stored in."]
        : ["True", "NamespaceReplaced", dataLostMessage(observed, lost)],
  };
  if (isLeftAlone(situation) || situation.kind === "deleting") return keepSteps(fc, verdicts, states);
  for (const type of STEPS) verdicts[type] = verdictOf(states[type]);
  return verdicts;
}

/** A paused or deleted cell keeps what was last known of its steps. */
function keepSteps(
  fc: FulfillmentCenter,
  verdicts: Record<string, Verdict>,
  states: Steps,
): Record<string, Verdict> {
  for (const type of STEPS) {
    const known = fc.status?.conditions?.find((condition) => condition.type === type);
    verdicts[type] =
      known === undefined ? verdictOf(states[type]) : [known.status, known.reason, known.message];
  }
  return verdicts;
}

function verdictOf(state: StepState): Verdict {
  const status = state.kind === "done" ? "True" : state.kind === "unknown" ? "Unknown" : "False";
  return [status, state.reason, state.message];
}

const NOT_CHECKED = unknown(
  "NotChecked",
  "Not known, because the operator may not act on this cell; see Stalled and Ready.",
);

/** The one reason that a person must act on, when there is one. */
function stopOf(
  observed: Observed,
  situation: Situation,
  states: Steps,
): { readonly reason: string; readonly message: string } | undefined {
  if (situation.kind === "invalid")
    return { reason: "InvalidSpec", message: `The spec cannot be used: ${situation.message}; correct it.` };
  if (situation.kind === "halted") return situation;
  if (situation.kind === "deleting") return situation.stalled ? situation : undefined;
  if (situation.kind === "blocked" && situation.ownership.kind === "taken") return situation.ownership;
  const stalled = STEPS.map((type) => states[type]).find((state) => state.kind === "stalled");
  if (stalled !== undefined || situation.kind !== "building" || situation.lostNamespace === undefined)
    return stalled;
  // The empty cell is built first: until then there is nothing for a person to look at or to restore into.
  const built = openGate(situation.facts, states) === undefined && !situation.facts.epochs.issued;
  return built
    ? { reason: "DataLost", message: dataLostMessage(observed, situation.lostNamespace) }
    : undefined;
}

/** The first step that keeps the cell from being ready. */
function openGate(facts: Facts, states: Steps): StepState | undefined {
  const gates = STEPS.filter(
    (type) => type !== "Isolated" || facts.cell.spec.isolation.networkPolicy === "Required",
  );
  return gates.map((type) => states[type]).find((state) => state.kind !== "done");
}

function availableOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  states: Steps,
): Verdict {
  if (situation.kind === "deleting")
    return ["False", "Deleting", "The center is being deleted and takes no orders."];
  if (situation.kind !== "building" && !isLeftAlone(situation))
    return ["False", "NotBuilt", "The cell does not exist yet; see Ready."];
  if (situation.lostNamespace !== undefined)
    return ["False", "DataLost", dataLostMessage(observed, situation.lostNamespace)];
  if (fc.spec.mode !== "Active")
    return [
      "False",
      fc.spec.mode,
      `The center is ${fc.spec.mode.toLowerCase()} by its spec and takes no new orders.`,
    ];
  if (isLeftAlone(situation)) {
    if (observed.namespace === undefined)
      return ["False", "NotBuilt", "The cell does not exist yet; set paused to false to have it made."];
    if (!storeStands("database", observed) && fc.spec.database.external === undefined)
      return ["False", "DatabaseNotReady", "Not every pod of the database is ready; look at its pods."];
  } else if (states.DatabaseReady.kind !== "done")
    return ["False", "DatabaseNotReady", states.DatabaseReady.message];
  const issued = situation.kind === "building" && situation.facts.epochs.issued;
  const silent = SLICE_NAMES.filter((slice) => issued || !sliceServes(slice, observed));
  if (silent.length > 0)
    return ["False", "ServicesNotReady", `Not serving: ${silent.join(", ")}; see ServicesReady.`];
  return ["True", "Serving", "Every service has a pod that serves."];
}

function sliceServes(slice: string, observed: Observed): boolean {
  return observed.objects.some((object) => {
    if (object.kind !== "Deployment") return false;
    const { template } = object.spec as { template?: { metadata?: { labels?: Record<string, string> } } };
    return template?.metadata?.labels?.[LABELS.slice(slice)] !== undefined && rolloutOf(object).available > 0;
  });
}

function readyOf(
  fc: FulfillmentCenter,
  situation: Situation,
  states: Steps,
  stop: { reason: string; message: string } | undefined,
): Verdict {
  if (situation.kind === "deleting") return ["False", "Deleting", situation.message];
  if (situation.kind === "paused")
    return ["Unknown", "Paused", "The spec is not acted on while paused is true; set it to false to go on."];
  if (stop !== undefined) return ["False", stop.reason, stop.message];
  if (situation.kind !== "building") {
    const why = situation.kind === "blocked" ? situation.stuck?.message : undefined;
    const plain = "The old namespace is still being deleted; the cell is made anew when it is gone.";
    return ["False", "NamespaceTerminating", why ?? plain];
  }
  const { facts } = situation;
  if (situation.lostNamespace !== undefined)
    return ["False", "DataLost", "The cell was rebuilt empty; see DataLost for how to admit it."];
  const open = openGate(facts, states);
  // A new cell has nothing yet that could follow its number.
  if (facts.epochs.issued && fc.status?.epoch !== undefined)
    return ["False", "EpochIssued", "A new epoch was issued; the services follow it. No action needed."];
  if (open !== undefined) return ["False", open.reason, open.message];
  if (fc.spec.mode === "Fenced") return fencedReady(facts);
  return [
    "True",
    "Ready",
    fc.spec.mode === "Draining"
      ? "The cell runs and takes no new orders."
      : "The cell runs as its spec asks.",
  ];
}

function fencedReady(facts: Facts): Verdict {
  if (facts.fence?.kind === "succeeded")
    return ["True", "Fenced", "Every writer is shut out; set mode to Active to let the cell write again."];
  const result = facts.fence?.kind === "failed" ? facts.fence.result : undefined;
  return result?.ok === false
    ? ["False", result.reason, `Fencing failed: ${result.message}; it is tried again.`]
    : ["False", "Fencing", "A Job is raising the epoch in the shard; no action needed."];
}

function reconcilingOf(situation: Situation, ready: Verdict, stop: unknown): Verdict {
  if (situation.kind === "paused")
    // Nobody can tell whether the spec is carried out: who waits for it must not take it for done.
    return ["True", "Paused", "The operator is asked not to act; set paused to false to go on."];
  if (stop !== undefined) return ["False", "Stalled", "The operator waits for a person; see Stalled."];
  return ready[0] === "True"
    ? ["False", "UpToDate", "Everything is as the spec asks."]
    : ["True", ready[1], ready[2]];
}

function drainingOf({ spec, metadata }: FulfillmentCenter, { drain, table }: Observed): Verdict {
  if (spec.mode !== "Draining") return ["False", "NotDraining", "The center is not being drained."];
  const entry = table?.spec.cells.find(({ name }) => name === metadata.name);
  if (entry !== undefined && entry.weight > 0)
    return ["True", "Draining", "Being taken out of the routing of new orders; no action needed."];
  const draining = "New orders go to other centers; open ones are finished here";
  switch (drain?.kind) {
    case "empty":
      return [
        "True",
        "Drained",
        "No order is open any more: the center may be changed or deleted. Set mode to Active to take orders again.",
      ];
    case "open":
      return ["True", "Draining", `${draining}: ${drain.bucket}. Set mode to Active to end it.`];
    case "unknown":
      return [
        "True",
        "Draining",
        `${draining}. How many there are is not known: ${drain.why}; it is asked again. Set mode to Active to end it.`,
      ];
    default:
      return ["True", "Draining", `${draining}. Set mode to Active to end it.`];
  }
}

function dataLostMessage(observed: Observed, lost: string): string {
  const uid = observed.namespace?.metadata.uid ?? "<uid of the new namespace>";
  return (
    `Namespace ${lost} was deleted together with its orders and the cell is empty. Restore the data, or admit the empty ` +
    `cell with the annotation ${ANNOTATIONS.acknowledgeDataLoss}=${uid}.`
  );
}
