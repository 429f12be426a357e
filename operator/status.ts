import { type Condition, type ConditionInput, setCondition } from "../platform/kube/objects.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { ANNOTATIONS, cellNamespace, LABELS } from "./api/names.ts";
import { cellImage } from "./build/cell.ts";
import { type StepState, unknown } from "./errors.ts";
import type { Facts, Situation } from "./facts.ts";
import type { Observed } from "./observed.ts";
import { phaseOf } from "./phase.ts";
import { type Steps, stepsOf } from "./steps.ts";
import { blockersOf, rolloutOf } from "./workloads.ts";

const STEPS = [
  "Provisioned",
  "DatabaseReady",
  "SchemaMigrated",
  "CacheReady",
  "TopicsReady",
  "ServicesReady",
  "Isolated",
] as const;

type Verdict = readonly [status: Condition["status"], reason: string, message: string];

/**
 * The whole status after a pass. Every condition is present from the first visit on; transition times move only with
 * the status; nothing in it changes while nothing happens.
 */
export function statusOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  nowMs: number,
): FulfillmentCenterStatus {
  const previous = fc.status ?? {};
  const steps = situation.kind === "building" ? stepsOf(situation.facts, observed) : undefined;
  const verdicts = verdictsOf(fc, observed, situation, steps);
  const generation = fc.metadata.generation ?? 0;
  let conditions: Condition[] = previous.conditions ?? [];
  for (const [type, [status, reason, message]] of Object.entries(verdicts)) {
    const input: ConditionInput = {
      type,
      status,
      reason,
      message: message.slice(0, 1024),
      observedGeneration: generation,
    };
    conditions = setCondition(conditions, input, nowMs);
  }
  const carried =
    situation.kind === "building"
      ? buildingFields(fc, observed, situation, steps!, verdicts)
      : keptFields(previous);
  return {
    observedGeneration: generation,
    ...carried,
    conditions,
    phase: phaseOf(fc, conditions, carried.admittedEpoch !== undefined),
  };
}

/** Fields that a pass which builds nothing leaves as they are. */
function keptFields(previous: FulfillmentCenterStatus): FulfillmentCenterStatus {
  const {
    conditions: _conditions,
    phase: _phase,
    observedGeneration: _generation,
    blockers: _blockers,
    ...kept
  } = previous;
  return kept;
}

function buildingFields(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Extract<Situation, { kind: "building" }>,
  steps: Steps,
  verdicts: Record<string, Verdict>,
): FulfillmentCenterStatus {
  const { facts } = situation;
  const previous = fc.status ?? {};
  const { epoch, fencedEpoch } = facts.epochs;
  const startedOver = previous.epoch !== undefined && previous.epoch !== epoch;
  // A cell that has once been available stays admitted: whether it is healthy now is for each gateway to judge.
  const admitted = verdicts.Available?.[0] === "True" || previous.admittedEpoch === epoch;
  const namespaceUid = observed.namespace?.metadata.uid;
  const image = cellImage(facts.cell);
  const current =
    steps.ServicesReady.kind === "done" && !facts.epochs.issued ? image : previous.release?.current;
  const replaced =
    current !== previous.release?.current ? previous.release?.current : previous.release?.previous;
  // What is empty is left out: the API server would not store it, and the next pass would write it again.
  const blockers = blockersOf(observed.pods);
  const services = serviceCounts(observed);
  return {
    namespace: cellNamespace(fc.metadata.name),
    ...(namespaceUid === undefined ? {} : { namespaceUid }),
    ...(situation.lostNamespace === undefined ? {} : { lostNamespaceUid: situation.lostNamespace }),
    endpoint: `http://orders.${facts.cell.namespace}.svc:7002`,
    epoch,
    ...(fencedEpoch === undefined ? {} : { fencedEpoch }),
    ...(admitted && !startedOver ? { admittedEpoch: epoch } : {}),
    ...(facts.provisionedHash === undefined
      ? keptHash(previous, startedOver)
      : { provisionedHash: facts.provisionedHash }),
    ...(current === undefined && replaced === undefined
      ? {}
      : {
          release: {
            ...(current === undefined ? {} : { current }),
            ...(replaced === undefined ? {} : { previous: replaced }),
          },
        }),
    ...(services.length === 0 ? {} : { services }),
    ...(blockers.length === 0 ? {} : { blockers }),
  };
}

/** What the running pods were provisioned for stays known while the next Job runs. */
function keptHash(previous: FulfillmentCenterStatus, startedOver: boolean) {
  return previous.provisionedHash === undefined || startedOver
    ? {}
    : { provisionedHash: previous.provisionedHash };
}

function serviceCounts(observed: Observed) {
  return observed.objects
    .filter(({ kind }) => kind === "Deployment")
    .map((deployment) => {
      const { replicas, ready } = rolloutOf(deployment);
      return { name: deployment.metadata.name, replicas, ready };
    })
    .sort((a, b) => a.name.localeCompare(b.name))
    .slice(0, 16);
}

function verdictsOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  steps: Steps | undefined,
): Record<string, Verdict> {
  const states = Object.fromEntries(
    STEPS.map((type) => [type, steps?.[type] ?? notYet(situation)]),
  ) as unknown as Steps;
  const stop = stopOf(situation, states);
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
    Degraded: degradedOf(ready, available),
    Draining:
      fc.spec.mode === "Draining"
        ? [
            "True",
            "Draining",
            "New orders go to other centers; open ones are finished here. Set mode to Active to end it.",
          ]
        : ["False", "NotDraining", "The center is not being drained."],
    Deleting:
      situation.kind === "deleting"
        ? ["True", situation.reason, situation.message]
        : ["False", "NotDeleting", "Nobody asked for a deletion."],
    DataLost:
      lost === undefined
        ? ["False", "DataPresent", "The cell has the namespace that its orders were stored in."]
        : ["True", "NamespaceReplaced", dataLostMessage(observed, lost)],
  };
  if (situation.kind === "paused" || situation.kind === "deleting") return keepSteps(fc, verdicts, states);
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

function notYet(situation: Situation): StepState {
  return situation.kind === "blocked" && situation.ownership.kind === "absent"
    ? unknown("Pending", "Not looked at yet; no action needed.")
    : unknown(
        "NotChecked",
        "Not known, because the operator may not act on this cell; see Stalled and Ready.",
      );
}

/** The one reason that a person must act on, when there is one. */
function stopOf(situation: Situation, states: Steps): { reason: string; message: string } | undefined {
  if (situation.kind === "invalid")
    return { reason: "InvalidSpec", message: `The spec cannot be used: ${situation.message}; correct it.` };
  if (situation.kind === "deleting") return situation.stalled ? situation : undefined;
  if (situation.kind === "blocked" && situation.ownership.kind === "taken")
    return { reason: "NamespaceTaken", message: situation.ownership.message };
  return STEPS.map((type) => states[type]).find((state) => state.kind === "stalled");
}

function availableOf(
  fc: FulfillmentCenter,
  observed: Observed,
  situation: Situation,
  states: Steps,
): Verdict {
  if (situation.kind === "deleting")
    return ["False", "Deleting", "The center is being deleted and takes no orders."];
  if (situation.kind === "paused") {
    const known = fc.status?.conditions?.find(({ type }) => type === "Available");
    return known === undefined
      ? ["Unknown", "Paused", "The operator is paused; set paused to false."]
      : [known.status, known.reason, known.message];
  }
  if (situation.kind !== "building") return ["False", "NotBuilt", "The cell does not exist yet; see Ready."];
  if (situation.lostNamespace !== undefined)
    return ["False", "DataLost", dataLostMessage(observed, situation.lostNamespace)];
  if (fc.spec.mode !== "Active")
    return [
      "False",
      fc.spec.mode,
      `The center is ${fc.spec.mode.toLowerCase()} by its spec and takes no new orders.`,
    ];
  if (states.DatabaseReady.kind !== "done")
    return ["False", "DatabaseNotReady", states.DatabaseReady.message];
  const silent = SLICE_NAMES.filter((slice) => !sliceServes(slice, observed, situation.facts));
  if (silent.length > 0)
    return ["False", "ServicesNotReady", `Not serving: ${silent.join(", ")}; see ServicesReady.`];
  return ["True", "Serving", "Every service has a pod that serves."];
}

function sliceServes(slice: string, observed: Observed, facts: Facts): boolean {
  if (facts.epochs.issued) return false;
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
    const leaving = situation.kind === "blocked" && situation.ownership.kind === "terminating";
    return leaving
      ? [
          "False",
          "NamespaceTerminating",
          "The old namespace is still being deleted; the cell is made anew when it is gone.",
        ]
      : ["Unknown", "Pending", "The first pass has begun; no action needed."];
  }
  const { facts } = situation;
  if (situation.lostNamespace !== undefined)
    return ["False", "DataLost", "The cell was rebuilt empty; see DataLost for how to admit it."];
  const gates = STEPS.filter(
    (type) => type !== "Isolated" || facts.cell.spec.isolation.networkPolicy === "Required",
  );
  const open = gates.map((type) => states[type]).find((state) => state.kind !== "done");
  if (facts.epochs.issued)
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
    return ["False", "Paused", "The operator is asked not to act; set paused to false to go on."];
  if (stop !== undefined) return ["False", "Stalled", "The operator waits for a person; see Stalled."];
  return ready[0] === "True"
    ? ["False", "UpToDate", "Everything is as the spec asks."]
    : ["True", ready[1], ready[2]];
}

function degradedOf(ready: Verdict, available: Verdict): Verdict {
  return available[0] === "True" && ready[0] === "False"
    ? ["True", ready[1], ready[2]]
    : ["False", "NotDegraded", "The cell serves at full strength, or not at all; see Available."];
}

function dataLostMessage(observed: Observed, lost: string): string {
  const uid = observed.namespace?.metadata.uid ?? "<uid of the new namespace>";
  return (
    `Namespace ${lost} was deleted together with its orders and the cell is empty. Restore the data, or admit the empty ` +
    `cell with the annotation ${ANNOTATIONS.acknowledgeDataLoss}=${uid}.`
  );
}
