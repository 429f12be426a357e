import { hasFinalizer, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { Blocker } from "./api/fulfillment-center-status.ts";
import { ANNOTATIONS, FINALIZER, LABELS } from "./api/names.ts";
import type { ProvisionResult } from "./api/provision-result.ts";
import type { OperatorSettings } from "./api/settings.ts";
import { type Cell, cellOf } from "./build/cell.ts";
import { externalOwner } from "./build/environment.ts";
import { buildRemoveJob, REMOVAL_BOUND_SECONDS } from "./build/jobs.ts";
import { buildNamespace } from "./build/namespace.ts";
import { trimmed } from "./errors.ts";
import { find, identity, type Observed } from "./observed.ts";
import { ownershipOf, storeOf } from "./ownership.ts";
import type { Notice, Plan } from "./plan.ts";
import { statusOf } from "./status.ts";
import { CELL_KINDS } from "./stores.ts";
import { foreignFinalizers, STUCK_AFTER_MS, stuckObjects } from "./stuck.ts";
import { jobOutcome } from "./workloads.ts";

/** What one step of a deletion wants; `message` is for the condition Deleting. */
interface Step {
  readonly reason: string;
  readonly message: string;
  readonly stalled?: boolean;
  readonly objects?: readonly KubeObject[];
  readonly prune?: readonly KubeObject[];
  readonly leaves?: Plan["leaves"];
  readonly finalizer?: "remove";
  /** What it waits for does not always wake us: it is looked at again. */
  readonly looksAgain?: boolean;
  readonly blockers?: readonly Blocker[];
  readonly notices?: readonly Notice[];
}

/**
 * The ordered teardown of a center: out of the routing table, workloads stopped, topics removed, namespace deleted,
 * finalizer gone. Each pass finds the first step that is not done yet, so it may be cut off anywhere.
 */
export function planDeletion(
  fc: FulfillmentCenter,
  observed: Observed,
  settings: OperatorSettings,
  nowMs: number,
): Plan {
  const step = nextStep(fc, observed, settings, nowMs);
  return {
    objects: step.objects ?? [],
    prune: step.prune ?? [],
    ...(step.leaves === undefined ? {} : { leaves: step.leaves }),
    finalizer: step.finalizer ?? "keep",
    notices: step.notices ?? [],
    ...(step.looksAgain ? { requeueAfterMs: STUCK_AFTER_MS } : {}),
    status: statusOf(
      fc,
      observed,
      {
        kind: "deleting",
        reason: step.reason,
        message: step.message,
        stalled: step.stalled === true,
        blockers: step.blockers ?? [],
      },
      nowMs,
    ),
  };
}

function nextStep(
  fc: FulfillmentCenter,
  observed: Observed,
  settings: OperatorSettings,
  nowMs: number,
): Step {
  if (!hasFinalizer(fc, FINALIZER))
    return (
      foreignFinalizers(fc, FINALIZER) ?? { reason: "Finished", message: "Nothing is left of the cell." }
    );
  const stuck = (): Partial<Step> => ({ looksAgain: true, ...stuckObjects(observed, nowMs) });
  if (fc.spec.deletion.protection) {
    return {
      reason: "Protected",
      stalled: true,
      message: "The cell is kept because deletion.protection is true; set it to false to delete the center.",
    };
  }
  const { name } = fc.metadata;
  const { table } = observed;
  if (table?.spec.cells.some((cell) => cell.name === name) === true)
    return {
      reason: "LeavingRouting",
      message: `Being taken out of routing table ${fc.spec.region}; no action needed.`,
    };
  const { kind } = ownershipOf(fc, observed);
  if (kind === "terminating")
    return {
      reason: "DeletingNamespace",
      message: `Namespace ${fc.status?.namespace ?? ""} is being deleted; no action needed.`,
      ...stuck(),
    };
  // A namespace that is not ours is not ours to empty either.
  if (kind !== "ours")
    return { reason: "Finished", message: "Nothing is left of the cell.", finalizer: "remove" };
  const cell = cellOf(fc, settings, fc.status?.epoch ?? 0);
  const job = buildRemoveJob(cell);
  const kept = fc.spec.deletion.policy === "Retain" ? RETAINED : KEPT_FOR_TOPICS;
  const stopping = stopWorkloads(observed, kept, job);
  if (stopping !== undefined) return { ...stopping, ...stuck() };
  return fc.spec.deletion.policy === "Retain" ? retain(cell, fc) : removeAll(cell, job, observed);
}

/** What stays of a retained cell; claims are not listed because they are never deleted by name. */
const RETAINED = new Set(["Secret"]);
/** The removal Job needs its account, the policy that lets it reach Kafka, and its Secrets. */
const KEPT_FOR_TOPICS = new Set(["Secret", "ServiceAccount", "NetworkPolicy", "ResourceQuota", "LimitRange"]);

/** Stops every pod of the cell first: a consumer that still runs would make its topics again. */
function stopWorkloads(observed: Observed, kept: ReadonlySet<string>, job: KubeObject): Step | undefined {
  const leaving = observed.objects.filter(
    (object) => !kept.has(object.kind) && identity(object) !== identity(job),
  );
  const prune = leaving.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const pods = observed.pods.filter(
    (pod) => pod.metadata.ownerReferences?.some(({ kind }) => kind === "Job") !== true,
  );
  if (leaving.length === 0 && pods.length === 0) return undefined;
  const names = [...leaving.map(identity), ...pods.map(identity)].sort().slice(0, 3).join(", ");
  return {
    reason: "StoppingWorkloads",
    message: `Waiting for ${names} to be gone; no action needed.`,
    prune,
  };
}

/**
 * Marks the namespace as nobody's: without an owner it may be deleted by hand, with its mark it may be adopted. Once
 * that is written it is no longer ours, and the next pass is finished with it.
 */
function retain(cell: Cell, fc: FulfillmentCenter): Step {
  const base = buildNamespace(cell);
  const marked: KubeObject = {
    ...base,
    metadata: {
      ...base.metadata,
      // Emptied, not left out: the label came with the creation, and an apply cannot take away what it did not apply.
      labels: { ...base.metadata.labels, [LABELS.owner]: "", [LABELS.retained]: cell.uid },
      annotations: {
        [ANNOTATIONS.epoch]: String(fc.status?.fencedEpoch ?? cell.epoch),
        [ANNOTATIONS.engine]: storeOf(fc.spec),
      },
    },
  };
  return {
    reason: "Retaining",
    message: `Marking namespace ${cell.namespace} as retained; no action needed.`,
    objects: [marked],
    leaves: { namespace: cell.namespace, kinds: CELL_KINDS.filter(({ kind }) => !RETAINED.has(kind)) },
  };
}

/** The removal Job carries the bound itself: when its deadline has passed it fails, and the deletion goes on. */
function removeAll(cell: Cell, job: KubeObject, observed: Observed): Step {
  const outcome = jobOutcome(find(observed, "Job", job.metadata.name), observed.pods);
  // Without Secrets no provision Job can ever have run, so there are no topics.
  const neverProvisioned = !observed.objects.some(({ kind }) => kind === "Secret");
  if (outcome.kind === "succeeded" || neverProvisioned) return deleteNamespace(cell, observed);
  if (outcome.kind === "failed") {
    return {
      ...deleteNamespace(cell, observed),
      notices: [
        { key: `orphans ${cell.uid}`, type: "Warning", action: "Delete", ...orphansOf(cell, outcome.result) },
      ],
    };
  }
  const refusal = outcome.kind === "running" && outcome.last?.ok === false ? outcome.last : undefined;
  const said = refusal === undefined ? "" : `${trimmed(refusal.message)} It is tried again. `;
  return {
    reason: refusal?.reason ?? "RemovingTopics",
    message: `${said}${cell.spec.database.external === undefined ? "Topics" : "Database and topics"} are removed by Job ${job.metadata.name}; after ${REMOVAL_BOUND_SECONDS / 60} minutes the deletion goes on without it.`,
    objects: outcome.kind === "absent" ? [job] : [],
  };
}

/** What a removal that failed leaves behind; the Job has tried both, and says what it could not do. */
function orphansOf(cell: Cell, result: ProvisionResult | undefined): { reason: string; note: string } {
  const { external } = cell.spec.database;
  const why = result?.ok === false ? result : undefined;
  if (external !== undefined && why?.reason !== "KafkaUnreachable") {
    const owner = externalOwner(cell);
    const said = why === undefined ? "" : ` ${trimmed(why.message)}`;
    const note =
      `Database ${external.name ?? owner} and the roles ${owner}* may be left behind at ${external.host}.${said} ` +
      `Look also for topics cells.${cell.name}.*; delete by hand what is there.`;
    return { reason: "DatabaseOrphaned", note };
  }
  const note = `Kafka refused or could not be reached: the topics cells.${cell.name}.* are left behind; delete them by hand.`;
  return { reason: "TopicsOrphaned", note };
}

function deleteNamespace(cell: Cell, observed: Observed): Step {
  return {
    reason: "DeletingNamespace",
    message: `Deleting namespace ${cell.namespace} and all that is in it; no action needed.`,
    prune: observed.namespace === undefined ? [] : [observed.namespace],
  };
}
