import type { KubeObject } from "../platform/kube/objects.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { type ProvisionResult, parseProvisionResult } from "./api/provision-result.ts";

interface Counts {
  replicas?: number;
  readyReplicas?: number;
  updatedReplicas?: number;
  availableReplicas?: number;
  observedGeneration?: number;
  conditions?: {
    type: string;
    status: string;
    reason?: string;
    message?: string;
    lastTransitionTime?: string;
  }[];
}

/** What the kubelet says of one container. */
export interface ContainerStatus {
  name: string;
  ready?: boolean;
  restartCount?: number;
  state?: {
    waiting?: { reason?: string; message?: string };
    terminated?: { message?: string; exitCode?: number; finishedAt?: string; reason?: string };
  };
  lastState?: { terminated?: { message?: string; exitCode?: number; reason?: string } };
}

/** How far a Deployment or StatefulSet is. */
export interface Rollout {
  readonly replicas: number;
  readonly ready: number;
  /** Serving, whatever its revision. */
  readonly available: number;
  /** Every pod is of the desired revision and available. */
  readonly complete: boolean;
}

const ABSENT: Rollout = { replicas: 0, ready: 0, available: 0, complete: false };

/**
 * Compares a workload with what is desired of it: one that still carries another revision, or that somebody has
 * scaled, is not complete, whatever it counts. Without `desired` it is measured by its own spec, and so is the number
 * of its pods when that is somebody else's to say.
 */
export function rolloutOf(
  workload: KubeObject | undefined,
  desired: KubeObject | undefined = workload,
): Rollout {
  if (workload === undefined || desired === undefined) return ABSENT;
  const wish = (object: KubeObject) => (object.spec as { replicas?: number }).replicas;
  const replicas = wish(desired) ?? wish(workload) ?? 1;
  // Counts of pods lag behind: right after somebody scaled it down they still say that all is as desired.
  const scaled = (wish(workload) ?? 1) !== replicas;
  const status = (workload.status ?? {}) as Counts;
  const ready = status.readyReplicas ?? 0;
  const seen = (status.observedGeneration ?? 0) >= (workload.metadata.generation ?? 0);
  const revision = (object: KubeObject) => object.metadata.annotations?.[ANNOTATIONS.revision];
  const current = revision(workload) === revision(desired);
  const updated = status.updatedReplicas ?? 0;
  const available = status.availableReplicas ?? (workload.kind === "StatefulSet" ? ready : 0);
  const alone = (status.replicas ?? 0) <= replicas;
  return {
    replicas,
    ready,
    available,
    complete: seen && current && !scaled && alone && updated >= replicas && available >= replicas,
  };
}

/** Sentence of a Deployment that has given up on its rollout. */
export function rolloutFailure(deployment: KubeObject | undefined): string | undefined {
  const conditions = ((deployment?.status ?? {}) as Counts).conditions ?? [];
  return conditions.find(
    ({ type, reason }) => type === "Progressing" && reason === "ProgressDeadlineExceeded",
  )?.message;
}

export type JobOutcome =
  | { readonly kind: "absent" }
  | { readonly kind: "running"; readonly last?: ProvisionResult }
  | { readonly kind: "succeeded"; readonly result?: ProvisionResult }
  | { readonly kind: "failed"; readonly result?: ProvisionResult; readonly failedAtMs: number };

/** What became of a Job, with what the newest of its pods said at its end. */
export function jobOutcome(job: KubeObject | undefined, pods: readonly KubeObject[]): JobOutcome {
  if (job === undefined) return { kind: "absent" };
  const conditions = ((job.status ?? {}) as Counts).conditions ?? [];
  const result = lastWords(job, pods, parseProvisionResult);
  const said = result === undefined ? {} : { result };
  if (endedWell(job)) return { kind: "succeeded", ...said };
  const failed = conditions.find(({ type, status }) => type === "Failed" && status === "True");
  if (failed !== undefined) {
    const text = result === undefined ? { result: unexplained(failed) } : said;
    return { kind: "failed", ...text, failedAtMs: Date.parse(failed.lastTransitionTime ?? "") || 0 };
  }
  return { kind: "running", ...(result === undefined ? {} : { last: result }) };
}

function unexplained(failed: { reason?: string; message?: string }): ProvisionResult {
  return {
    ok: false,
    reason: failed.reason ?? "JobFailed",
    message: failed.message ?? "its pod left no reason",
  };
}

/** Pods of one Job, the newest first. */
export function podsOfJob(job: KubeObject, pods: readonly KubeObject[]): KubeObject[] {
  return pods
    .filter((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === job.metadata.uid) === true)
    .sort((a, b) => (b.metadata.creationTimestamp ?? "").localeCompare(a.metadata.creationTimestamp ?? ""));
}

/** When a Job came to its end, in ms since the epoch; undefined while it runs. */
export function endedAtMs(job: KubeObject): number | undefined {
  const conditions = ((job.status ?? {}) as Counts).conditions ?? [];
  const end = conditions.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  return end === undefined ? undefined : Date.parse(end.lastTransitionTime ?? "") || 0;
}

/** True when every pod that the Job needed exited with 0. */
export function endedWell(job: KubeObject): boolean {
  const conditions = ((job.status ?? {}) as Counts).conditions ?? [];
  return conditions.some(({ type, status }) => type === "Complete" && status === "True");
}

/** The newest termination message of a Job's pods that `parse` can read. */
export function lastWords<T>(
  job: KubeObject,
  pods: readonly KubeObject[],
  parse: (text: string | undefined) => T | undefined,
): T | undefined {
  for (const pod of podsOfJob(job, pods)) {
    for (const { state, lastState } of statusesOf(pod)) {
      const result = parse(state?.terminated?.message ?? lastState?.terminated?.message);
      if (result !== undefined) return result;
    }
  }
  return undefined;
}

/** A container that has begun this often without becoming ready is not going to by itself. */
const MAX_RESTARTS = 3;
/** What a pod waits for that no waiting brings. */
const HOPELESS = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "ErrImageNeverPull",
  "InvalidImageName",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

/** Why the newest of these pods is not going to be ready, in a sentence; undefined while there is hope. */
export function podFailure(pods: readonly KubeObject[]): string | undefined {
  const [newest] = [...pods].sort((a, b) =>
    (b.metadata.creationTimestamp ?? "").localeCompare(a.metadata.creationTimestamp ?? ""),
  );
  if (newest === undefined || newest.metadata.deletionTimestamp !== undefined) return undefined;
  for (const { ready, restartCount = 0, state, lastState } of statusesOf(newest)) {
    const reason = state?.waiting?.reason;
    if (reason !== undefined && HOPELESS.has(reason))
      return `pod ${newest.metadata.name} cannot start: ${reason}.`;
    const exit = lastState?.terminated?.exitCode;
    // Between two attempts it waits and runs by turns: how often it began does not flicker.
    if (ready !== true && restartCount >= MAX_RESTARTS)
      return `pod ${newest.metadata.name} ends again and again${exit === undefined ? "" : ` with exit code ${exit}`}.`;
  }
  return undefined;
}

/** Of each container, also of one that has not started. */
export function statusesOf(pod: KubeObject): ContainerStatus[] {
  return ((pod.status ?? {}) as { containerStatuses?: ContainerStatus[] }).containerStatuses ?? [];
}
