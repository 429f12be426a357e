import type { KubeObject } from "../platform/kube/objects.ts";
import { findCondition, hasFinalizer, isDeleting, onceFrozen } from "../platform/kube/objects.ts";
import { type FulfillmentCenter, specSchema } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, cellNamespace, FINALIZER } from "./api/names.ts";
import type { OperatorSettings } from "./api/settings.ts";
import { buildServiceAccounts } from "./build/accounts.ts";
import { buildCache } from "./build/cache.ts";
import { type Cell, cellOf } from "./build/cell.ts";
import { buildDatabase } from "./build/database.ts";
import { buildDisruptionBudgets } from "./build/disruption.ts";
import { buildFenceJob, buildProvisionJob, buildRetireJob, provisionHash } from "./build/jobs.ts";
import { buildLimitRange, buildNamespace } from "./build/namespace.ts";
import { buildNetworkPolicies } from "./build/network.ts";
import { inOrderOfWriting } from "./build/order.ts";
import { perCell } from "./build/percell.ts";
import { buildIsolationJob } from "./build/probe.ts";
import { buildQuota } from "./build/quota.ts";
import { buildRecovery } from "./build/recovery.ts";
import { buildSecrets } from "./build/secrets.ts";
import { buildSliceDeployments, buildSliceServices } from "./build/slices.ts";
import { deploymentsOf, rolloutFor, withRevision } from "./deployments.ts";
import { DRAIN_POLL_MS } from "./draining.ts";
import { decideEpochs, type Epochs } from "./epoch.ts";
import type { Situation } from "./facts.ts";
import { planDeletion } from "./finalize.ts";
import { holdsOf } from "./hold.ts";
import { type Isolation, isIsolationJob, isolationOf, probeInTurn, repeatedProbe } from "./isolation.ts";
import { lostSecrets } from "./lost-secrets.ts";
import { find, identity, type Observed, secretData } from "./observed.ts";
import { lostNamespace, namespaceReplaced, type Ownership, ownershipOf } from "./ownership.ts";
import type { Plan } from "./plan.ts";
import { supersededObjects } from "./prune.ts";
import { credentialsOf, mayRetire, nextCredentials, rotationNotices } from "./rotation.ts";
import { statusOf } from "./status.ts";
import { STUCK_AFTER_MS, stuckObjects } from "./stuck.ts";
import { growVolumes } from "./volumes.ts";
import { type JobOutcome, jobOutcome, rolloutOf } from "./workloads.ts";

/** A provision Job that failed for a reason that may pass is made again after this long. */
const RETRY_FAILED_JOB_MS = 20_000;

/**
 * Decides what a center's cell should be. Pure: `nowMs` and `random` (a fresh secret word) are arguments, and the
 * same arguments give the same plan.
 */
export function desired(
  center: FulfillmentCenter,
  observed: Observed,
  settings: OperatorSettings,
  nowMs: number,
  random: () => string,
): Plan {
  const parsed = parsedSpec(center.spec);
  const fc: FulfillmentCenter = parsed.success ? { ...center, spec: parsed.data } : center;
  const ownership = ownershipOf(fc, observed);
  if (isDeleting(fc)) return planDeletion(fc, observed, settings, nowMs);
  const lost = lostNamespace(fc, observed);
  const idle = (situation: Situation): Plan => ({
    objects: [],
    prune: [],
    finalizer: "keep",
    notices: [],
    status: statusOf(fc, observed, situation, nowMs),
    ...(ownership.kind === "terminating" ? { requeueAfterMs: STUCK_AFTER_MS } : {}),
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return idle({
      kind: "invalid",
      message: `${issue?.path.join(".") ?? "spec"}: ${issue?.message ?? "not valid"}`,
    });
  }
  const stuck = ownership.kind === "terminating" ? stuckObjects(observed, nowMs) : undefined;
  const blocked: Situation = { kind: "blocked", ownership, lostNamespace: lost, stuck };
  if (ownership.kind === "taken" || ownership.kind === "terminating") return idle(blocked);
  // Nothing is made before the finalizer is there; the status that comes with it says already what the next pass begins.
  if (!hasFinalizer(fc, FINALIZER)) {
    const finalizers = [...(fc.metadata.finalizers ?? []), FINALIZER];
    const next = { ...center, metadata: { ...center.metadata, finalizers } };
    const { status } = desired(next, observed, settings, nowMs, random);
    return { objects: [], prune: [], finalizer: "add", notices: [], status };
  }
  if (fc.spec.paused) return idle({ kind: "paused", lostNamespace: lost });
  const startOver = namespaceReplaced(fc, observed) && ownership.kind !== "adopting";
  const provisioned = fc.status?.provisionedHash !== undefined && !startOver;
  const gone = lostSecrets(observed, { namespace: cellNamespace(fc.metadata.name), provisioned });
  if (gone !== undefined)
    return idle({ kind: "halted", reason: "SecretLost", message: gone, lostNamespace: lost });
  return planCell(fc, observed, { ownership, lost }, { settings, nowMs, random });
}

const parsedSpec = onceFrozen((spec: FulfillmentCenter["spec"]) => specSchema.safeParse(spec));

interface Givens {
  readonly settings: OperatorSettings;
  readonly nowMs: number;
  readonly random: () => string;
}

function planCell(
  fc: FulfillmentCenter,
  observed: Observed,
  owned: { readonly ownership: Ownership; readonly lost: string | undefined },
  givens: Givens,
): Plan {
  const { settings, nowMs } = givens;
  const startOver = namespaceReplaced(fc, observed) && owned.ownership.kind !== "adopting";
  const leaseEpoch = startOver ? undefined : leaseEpochSeen(fc, observed, settings);
  const epochs = decideEpochs(fc, observed, { leaseEpoch, startOver }, nowMs);
  const credentials = credentialsOf(fc, secretData(observed.objects), startOver);
  const cell = cellOf(fc, settings, epochs.epoch, credentials);
  const parts = partsOf(cell, epochs, observed, givens);
  const provision = outcomeOf(parts.provisionJob, observed);
  const hash = provisionHash(parts.provisionJob);
  const provisioned =
    !epochs.issued && (provision.kind === "succeeded" || fc.status?.provisionedHash === hash);

  const rolledOut = provisioned && parts.deployments.every((one) => isRolledOut(one, observed));
  const known = findCondition(fc.status?.conditions, "Isolated");
  const isolation = isolationOf(parts.isolationJob, observed, known);
  const retry = jobsToRepeat(cell, parts, isolation, observed, nowMs);
  const holds = holdsOf(observed.objects, nowMs);
  const skipped = new Set([...holds.held, ...retry.due.map(identity)]);
  const rollout = rolloutFor(fc, cell, parts, observed, provisioned && !epochs.issued);
  const databaseUp = isDatabaseUp(cell, observed);
  const retireJob = buildRetireJob(cell);
  const rotation = { provisioned, rolledOut, retire: outcomeOf(retireJob, observed) };
  const retiring = mayRetire(credentials, rotation, observed) ? [retireJob] : [];
  const nextOnes = nextCredentials(fc, credentials, rotation);
  const steps = [
    ...parts.base,
    ...lateObjects(parts, epochs, { provisioned, databaseUp }),
    ...rollout.apply,
    ...retiring,
    // Only what serves can be seen to be closed.
    ...(rolledOut && !epochs.issued ? [parts.isolationJob] : []),
  ];
  const superseded = supersededObjects(observed, {
    wanted: [
      ...[...parts.base, parts.provisionJob, ...parts.fenceJobs],
      ...[...parts.deployments, parts.isolationJob, ...retiring],
    ],
    rolledOut,
  });
  const [fenceJob] = parts.fenceJobs;
  const facts = {
    cell,
    epochs,
    base: parts.base,
    deployments: parts.deployments,
    rollout,
    provisionJob: parts.provisionJob.metadata.name,
    provision,
    databaseUp,
    provisionedHash: provisioned ? hash : undefined,
    fence: fenceJob === undefined ? undefined : outcomeOf(fenceJob, observed),
    isolation,
    held: [...holds.held].sort(),
    credentials: nextOnes,
    rotation,
  };
  const holdLeftMs = holds.nextExpiryMs === undefined ? undefined : holds.nextExpiryMs - nowMs;
  const drainMs = fc.spec.mode === "Draining" ? DRAIN_POLL_MS : undefined;
  const requeueAfterMs = earliest([holdLeftMs, retry.nextMs, drainMs]);
  return {
    objects: growVolumes(steps, observed).filter((object) => !skipped.has(identity(object))),
    prune: [...superseded, ...retry.due].filter((object) => !holds.held.has(identity(object))),
    status: statusOf(fc, observed, { kind: "building", facts, lostNamespace: owned.lost }, nowMs),
    finalizer: "keep",
    ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }),
    notices: [
      ...holds.ignored.map(({ object, note }) => ({
        key: `${identity(object)} ${object.metadata.annotations?.[ANNOTATIONS.heldUntil]}`,
        type: "Warning" as const,
        reason: "HoldIgnored",
        action: "Reconcile",
        note,
      })),
      ...rotationNotices(credentials, nextOnes),
    ],
  };
}

interface Parts {
  /** Everything that may exist before the schema does. */
  readonly base: readonly KubeObject[];
  readonly provisionJob: KubeObject;
  /** One while the center is fenced, else none. */
  readonly fenceJobs: readonly KubeObject[];
  readonly deployments: readonly KubeObject[];
  /** The probe as it is before it is ever repeated. */
  readonly firstProbe: KubeObject;
  readonly isolationJob: KubeObject;
}

function partsOf(cell: Cell, epochs: Epochs, observed: Observed, { nowMs, random }: Givens): Parts {
  const base = buildBase(cell, observed, random);
  const firstProbe = buildIsolationJob(cell, observed.neighbours);
  const { fencedEpoch } = epochs;
  return {
    base,
    provisionJob: buildProvisionJob(cell),
    fenceJobs: fencedEpoch === undefined ? [] : [buildFenceJob(cell, fencedEpoch)],
    deployments: deploymentsOf(cell, base, observed),
    firstProbe,
    isolationJob: probeInTurn(firstProbe, observed, nowMs),
  };
}

/** What waits for the database or its schema, as far as its turn has come. */
function lateObjects(
  parts: Parts,
  epochs: Epochs,
  reached: { readonly provisioned: boolean; readonly databaseUp: boolean },
): KubeObject[] {
  // A number that is not in the status yet could be issued anew after a crash: nothing is built with it before.
  if (epochs.issued) return [];
  return [
    ...(reached.provisioned || reached.databaseUp ? [parts.provisionJob] : []),
    ...(reached.databaseUp ? parts.fenceJobs : []),
  ];
}

function outcomeOf(job: KubeObject, observed: Observed): JobOutcome {
  return jobOutcome(find(observed, "Job", job.metadata.name), observed.pods);
}

/** Of the base what depends on the cell alone. */
const buildFixed = perCell((cell) => {
  const stores = [...buildDatabase(cell), ...buildCache(cell)].map(withRevision);
  const workloads = [...stores, buildProvisionJob(cell), ...buildSliceDeployments(cell, "")];
  return [
    buildNamespace(cell),
    buildQuota(cell, workloads),
    buildLimitRange(cell),
    ...buildNetworkPolicies(cell),
    ...buildServiceAccounts(cell),
    ...stores,
    ...buildSliceServices(cell),
    ...buildDisruptionBudgets(cell),
  ];
});

/** Everything that may exist before the schema does. */
function buildBase(cell: Cell, observed: Observed, random: () => string): KubeObject[] {
  const secrets = buildSecrets(cell, {
    existing: secretData(observed.objects),
    cellKey: observed.cellKey,
    nextCellKey: observed.nextCellKey,
    gatewayKeys: observed.gatewayKeys,
    random,
  });
  return inOrderOfWriting([...buildFixed(cell), buildRecovery(cell, secrets), ...secrets]);
}

function isRolledOut(deployment: KubeObject, observed: Observed): boolean {
  return rolloutOf(find(observed, "Deployment", deployment.metadata.name), deployment).complete;
}

function isDatabaseUp(cell: Cell, observed: Observed): boolean {
  if (cell.spec.database.external !== undefined) return observed.namespace !== undefined;
  const live = rolloutOf(find(observed, "StatefulSet", "database"));
  return live.replicas > 0 && live.ready >= live.replicas && isInitialized(cell, observed);
}

/** A CockroachDB has no role to provision with before its Job has made one. */
function isInitialized(cell: Cell, observed: Observed): boolean {
  return buildDatabase(cell)
    .filter(({ kind }) => kind === "Job")
    .every((job) => outcomeOf(job, observed).kind === "succeeded");
}

/** The number that the current epoch's provision Job found in the lease row, when it said so. */
function leaseEpochSeen(
  fc: FulfillmentCenter,
  observed: Observed,
  settings: OperatorSettings,
): number | undefined {
  const epoch = fc.status?.epoch;
  if (epoch === undefined) return undefined;
  const job = buildProvisionJob(cellOf(fc, settings, epoch));
  const outcome = outcomeOf(job, observed);
  if (outcome.kind === "absent") return undefined;
  return (outcome.kind === "running" ? outcome.last : outcome.result)?.epoch;
}

function jobsToRepeat(
  cell: Cell,
  { firstProbe }: Parts,
  isolation: Isolation,
  observed: Observed,
  nowMs: number,
) {
  const failed = failedJobs(observed, nowMs);
  const probe = repeatedProbe(cell, firstProbe, isolation, observed, nowMs);
  return { due: [...failed.due, ...probe.due], nextMs: earliest([failed.nextMs, probe.nextMs]) };
}

/** Failed Jobs whose turn it is to be made again, and when the next one's comes. A failed migration waits for a person. */
function failedJobs(observed: Observed, nowMs: number): { due: KubeObject[]; nextMs: number | undefined } {
  const due: KubeObject[] = [];
  let nextMs: number | undefined;
  for (const job of observed.objects) {
    if (job.kind !== "Job" || isIsolationJob(job)) continue;
    const outcome = jobOutcome(job, observed.pods);
    if (outcome.kind !== "failed" || isFinal(outcome.result)) continue;
    const leftMs = outcome.failedAtMs + RETRY_FAILED_JOB_MS - nowMs;
    if (leftMs <= 0) due.push(job);
    else nextMs = Math.min(nextMs ?? leftMs, leftMs);
  }
  return { due, nextMs };
}

function isFinal(result: { ok: boolean; reason?: string } | undefined): boolean {
  return result?.ok === false && result.reason === "MigrationFailed";
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.max(1, Math.min(...known));
}
