import { createHash } from "node:crypto";
import { type Condition, formatTime, isConditionTrue, isDeleting, type KubeObject } from "../objects.ts";
import type { FakeStorage } from "./fakestorage.ts";

interface Template {
  readonly metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  readonly spec: { readonly restartPolicy?: string };
}
interface WorkloadSpec {
  readonly replicas?: number;
  readonly template: Template;
  readonly backoffLimit?: number;
  readonly volumeClaimTemplates?: readonly KubeObject[];
}

const MANAGER = "kube-controller-manager";
const REVISION = "controller-revision-hash";

export interface WorkloadDeps {
  readonly storage: FakeStorage;
  readonly nowMs: () => number;
}

/** One step of the controllers of Deployments, StatefulSets and Jobs; again after every change until nothing changes. */
export function stepWorkloads(deps: WorkloadDeps): void {
  for (const deployment of deps.storage.list("deployments.apps")) stepDeployment(deps, deployment);
  for (const set of deps.storage.list("statefulsets.apps")) stepStatefulSet(deps, set);
  for (const job of deps.storage.list("jobs.batch")) stepJob(deps, job);
}

/** Rolls pods over one by one: a new one first, an old one goes when that is ready. Its pods have no ReplicaSet between. */
function stepDeployment({ storage }: WorkloadDeps, deployment: KubeObject): void {
  if (isDeleting(deployment)) return;
  const { replicas = 1, template } = specOf(deployment);
  const revision = hashOf(template);
  const pods = podsOf(storage, deployment).filter((pod) => !isDeleting(pod));
  const fresh = pods.filter((pod) => revisionOf(pod) === revision);
  const old = pods.filter((pod) => revisionOf(pod) !== revision);
  const ready = pods.filter(isReady);
  if (fresh.length < replicas && pods.length < replicas + 1) {
    const name = freeName(storage, deployment, revision);
    createPod(storage, deployment, name, template, revision);
  } else if (old.length > 0 && (ready.length > replicas || !old.every(isReady)))
    removePod(storage, old.find((pod) => !isReady(pod)) ?? old[0]!);
  else if (fresh.length > replicas) removePod(storage, fresh.at(-1)!);
  report(storage, deployment, podsOf(storage, deployment), revision);
}

/** Stable names and claims; a pod of another revision is deleted first, one at a time, from the highest number. */
function stepStatefulSet({ storage }: WorkloadDeps, set: KubeObject): void {
  if (isDeleting(set)) return;
  const { replicas = 1, template, volumeClaimTemplates = [] } = specOf(set);
  const revision = hashOf(template);
  const pods = new Map(podsOf(storage, set).map((pod) => [pod.metadata.name, pod]));
  const names = Array.from({ length: replicas }, (_, index) => `${set.metadata.name}-${index}`);
  for (const name of names) {
    for (const claim of volumeClaimTemplates) createClaim(storage, set, claim, name);
    if (!pods.has(name)) createPod(storage, set, name, template, revision);
  }
  for (const [name, pod] of pods) if (!names.includes(name)) removePod(storage, pod);
  const moving = [...pods.values()].some((pod) => isDeleting(pod) || !isReady(pod));
  const outdated = [...pods.values()].filter((pod) => revisionOf(pod) !== revision).at(-1);
  if (outdated !== undefined && !moving) removePod(storage, outdated);
  report(storage, set, podsOf(storage, set), revision);
}

function stepJob({ storage, nowMs }: WorkloadDeps, job: KubeObject): void {
  const status = (job.status ?? {}) as { conditions?: Condition[] };
  const ended = ["Complete", "Failed"].some((type) => isConditionTrue(status.conditions, type));
  if (isDeleting(job) || ended) return;
  const { backoffLimit = 6, template } = specOf(job);
  const pods = podsOf(storage, job);
  const failed = pods.filter((pod) => phaseOf(pod) === "Failed").length;
  const condition = pods.some((pod) => phaseOf(pod) === "Succeeded")
    ? { type: "Complete", status: "True" }
    : failed > backoffLimit
      ? { type: "Failed", status: "True", reason: "BackoffLimitExceeded", message: "too many pods failed" }
      : undefined;
  if (condition === undefined && pods.length === failed)
    createPod(storage, job, `${job.metadata.name}-${failed}`, template, "job");
  const lastTransitionTime = formatTime(nowMs());
  storage.report("jobs.batch", keyOf(job), {
    failed,
    conditions: condition === undefined ? [] : [{ ...condition, lastTransitionTime }],
  });
}

/** Gives every claim a volume of the size that it asks for. */
export function bindClaims(storage: FakeStorage): void {
  for (const claim of storage.list("persistentvolumeclaims")) {
    const { resources } = claim.spec as { resources: { requests: Record<string, string> } };
    storage.report("persistentvolumeclaims", keyOf(claim), { phase: "Bound", capacity: resources.requests });
  }
}

function report(
  storage: FakeStorage,
  owner: KubeObject,
  pods: readonly KubeObject[],
  revision: string,
): void {
  const present = pods.filter((pod) => !isDeleting(pod));
  const ready = present.filter(isReady).length;
  storage.report(owner.kind === "Deployment" ? "deployments.apps" : "statefulsets.apps", keyOf(owner), {
    observedGeneration: owner.metadata.generation,
    replicas: present.length,
    readyReplicas: ready,
    availableReplicas: ready,
    updatedReplicas: present.filter((pod) => revisionOf(pod) === revision).length,
  });
}

function createPod(
  storage: FakeStorage,
  owner: KubeObject,
  name: string,
  template: Template,
  revision: string,
): void {
  const { labels, annotations } = template.metadata ?? {};
  storage.create(
    "pods",
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name,
        namespace: owner.metadata.namespace!,
        labels: { ...labels, [REVISION]: revision },
        ...(annotations === undefined ? {} : { annotations }),
        ownerReferences: [
          {
            apiVersion: owner.apiVersion,
            kind: owner.kind,
            name: owner.metadata.name,
            uid: owner.metadata.uid!,
            controller: true,
          },
        ],
      },
      spec: template.spec,
      status: { phase: "Pending" },
    },
    MANAGER,
  );
}

function createClaim(storage: FakeStorage, set: KubeObject, claim: KubeObject, pod: string): void {
  const name = `${claim.metadata.name}-${pod}`;
  const { namespace } = set.metadata;
  if (storage.get("persistentvolumeclaims", `${namespace}/${name}`) !== undefined) return;
  const metadata = { ...claim.metadata, name, namespace: namespace! };
  storage.create(
    "persistentvolumeclaims",
    { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata, spec: claim.spec },
    MANAGER,
  );
}

function removePod(storage: FakeStorage, { metadata }: KubeObject): void {
  storage.remove("pods", `${metadata.namespace}/${metadata.name}`, metadata.uid);
}

function podsOf(storage: FakeStorage, owner: KubeObject): KubeObject[] {
  return storage
    .list("pods")
    .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid));
}

function freeName(storage: FakeStorage, { metadata }: KubeObject, revision: string): string {
  for (let number = 0; ; number++) {
    const name = `${metadata.name}-${revision}-${number}`;
    if (storage.get("pods", `${metadata.namespace}/${name}`) === undefined) return name;
  }
}

const keyOf = ({ metadata }: KubeObject) => `${metadata.namespace ?? ""}/${metadata.name}`;
const specOf = (object: KubeObject) => object.spec as WorkloadSpec;
const revisionOf = (pod: KubeObject) => pod.metadata.labels?.[REVISION];
const phaseOf = (pod: KubeObject) => (pod.status as { phase?: string } | undefined)?.phase;
const isReady = (pod: KubeObject) =>
  isConditionTrue((pod.status as { conditions?: Condition[] } | undefined)?.conditions, "Ready");

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 8);
}
