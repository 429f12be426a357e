import {
  type Condition,
  type ConditionInput,
  type KubeObject,
  setCondition,
} from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { cellNamespace } from "./api/names.ts";
import { blockersOf } from "./blockers.ts";
import { cellImage } from "./build/cell.ts";
import type { Situation } from "./facts.ts";
import { find, type Observed } from "./observed.ts";
import { phaseOf } from "./phase.ts";
import { credentialsField } from "./rotation.ts";
import { type Steps, stepsOf } from "./steps.ts";
import { type Verdict, verdictsOf } from "./verdicts.ts";
import { rolloutOf } from "./workloads.ts";

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
  const steps =
    situation.kind === "building" ? stepsOf(situation.facts, observed, previous.release?.current) : undefined;
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
      : { ...keptFields(previous), ...lookedAt(observed, situation) };
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

/** What is seen of a cell even while nothing is built: what is empty is left out. */
function lookedAt(observed: Observed, situation: Situation): FulfillmentCenterStatus {
  if (situation.kind === "invalid" || situation.kind === "building") return {};
  const blockers =
    situation.kind === "paused" || situation.kind === "halted"
      ? blockersOf(observed)
      : situation.kind === "blocked"
        ? (situation.stuck?.blockers ?? [])
        : situation.blockers;
  const isLive = situation.kind === "paused" || situation.kind === "halted";
  const services = isLive ? serviceCounts(observed) : [];
  const lost = situation.kind === "deleting" ? undefined : situation.lostNamespace;
  return {
    ...(blockers.length === 0 ? {} : { blockers: [...blockers] }),
    ...(services.length === 0 ? {} : { services }),
    ...(lost === undefined ? {} : { lostNamespaceUid: lost }),
  };
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
  const blockers = blockersOf(observed);
  const services = serviceCounts({
    objects: [...observed.objects, ...madeNow(facts.rollout.apply, observed)],
  });
  return {
    namespace: cellNamespace(fc.metadata.name),
    ...(namespaceUid === undefined ? {} : { namespaceUid }),
    ...(situation.lostNamespace === undefined ? {} : { lostNamespaceUid: situation.lostNamespace }),
    endpoint: `http://orders.${facts.cell.namespace}.svc:7002`,
    epoch,
    ...(fencedEpoch === undefined ? {} : { fencedEpoch }),
    ...(admitted && !startedOver ? { admittedEpoch: epoch } : {}),
    ...credentialsField(facts.credentials),
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

/** Deployments that this pass makes. */
function madeNow(applied: readonly KubeObject[], observed: Observed): KubeObject[] {
  return applied.filter(
    ({ kind, metadata }) => kind === "Deployment" && find(observed, kind, metadata.name) === undefined,
  );
}

function serviceCounts(observed: Pick<Observed, "objects">) {
  return observed.objects
    .filter(({ kind }) => kind === "Deployment")
    .map((deployment) => {
      const { replicas, ready } = rolloutOf(deployment);
      const image = imageOf(deployment);
      return { name: deployment.metadata.name, replicas, ready, ...(image === undefined ? {} : { image }) };
    })
    .sort((a, b) => a.name.localeCompare(b.name))
    .slice(0, 16);
}

function imageOf(deployment: KubeObject): string | undefined {
  const { template } = deployment.spec as { template?: { spec?: { containers?: { image?: string }[] } } };
  return template?.spec?.containers?.[0]?.image;
}
