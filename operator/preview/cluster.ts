import { canonicalJson } from "../../platform/canonical.ts";
import { isDeleting, type KubeObject } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import type { IsolationResult } from "../api/isolation-result.ts";
import { API_VERSION, FINALIZER, LABELS, type ROUTING_TABLE } from "../api/names.ts";
import type { RoutingTable } from "../api/routing-table.ts";
import { isIsolationJob } from "../isolation.ts";
import { identity, type Observed } from "../observed.ts";
import type { Plan } from "../plan.ts";
import { nextRoutingTable } from "../routing.ts";

/** A cluster as plain data, as far as one center is concerned. Never changed: each step makes the next one. */
export interface PreviewCluster {
  /** Undefined once the center is gone. */
  readonly fc: FulfillmentCenter | undefined;
  readonly observed: Observed;
  /** By identity: the object as the operator last wished it, where it did. */
  readonly wished: ReadonlyMap<string, KubeObject>;
}

/** Stands for an address that the API server will choose. */
const ASSIGNED = "(assigned)";

/** What the API server makes of a plan: objects stored, claims grown, pruned ones gone with their pods. */
export function takeOver(cluster: PreviewCluster, plan: Plan): PreviewCluster {
  const { fc, observed } = cluster;
  if (fc === undefined) return cluster;
  const objects = new Map(observed.objects.map((object) => [identity(object), object]));
  const claims = new Map(observed.claims.map((claim) => [claim.metadata.name, claim]));
  const wished = new Map(cluster.wished);
  let { namespace, pods } = observed;
  for (const wish of plan.objects) {
    wished.set(identity(wish), wish);
    if (wish.kind === "Namespace") namespace = stored(wish, namespace);
    else if (wish.kind === "PersistentVolumeClaim")
      claims.set(wish.metadata.name, grown(claims.get(wish.metadata.name), wish));
    else objects.set(identity(wish), stored(wish, objects.get(identity(wish))));
  }
  for (const { kind, metadata } of plan.prune) {
    wished.delete(`${kind}/${metadata.name}`);
    if (kind === "Namespace") {
      namespace = undefined;
      objects.clear();
      claims.clear();
      wished.clear();
      pods = [];
    } else objects.delete(`${kind}/${metadata.name}`);
  }
  const next = { ...observed, namespace, objects: [...objects.values()], claims: [...claims.values()] };
  return { fc: written(fc, plan), observed: { ...next, pods: livingPods(pods, next.objects) }, wished };
}

function grown(claim: KubeObject | undefined, wish: KubeObject): KubeObject {
  if (claim === undefined) return wish;
  return { ...claim, spec: { ...(claim.spec as object), ...(wish.spec as object) } };
}

/** What Kubernetes and the routing table's controller do next: Jobs succeed, workloads roll out, claims get their volumes, the table follows. */
export function react(cluster: PreviewCluster, nowMs: number): PreviewCluster {
  const { fc, observed } = cluster;
  const objects = observed.objects.map((object) => settled(object, nowMs));
  const claims = observed.claims.map((claim) => ({
    ...claim,
    status: { ...(claim.status as object), phase: "Bound" },
  }));
  const probes = objects.filter(
    (object, index) => isIsolationJob(object) && object !== observed.objects[index],
  );
  const next = { ...observed, objects, claims, pods: [...observed.pods, ...probes.map(denied)] };
  return { ...cluster, observed: { ...next, table: routed(fc, next) } };
}

/** The pod of a probe that finds everything shut: one that says nothing would be repeated. */
function denied({ metadata }: KubeObject): KubeObject {
  const answer: IsolationResult = { isolation: "Denied", denied: 0, cells: 0, reached: [], unclear: [] };
  const { name, uid = "" } = metadata;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ownerReferences: [{ apiVersion: "batch/v1", kind: "Job", name, uid }] },
    status: {
      containerStatuses: [{ name: "probe", state: { terminated: { message: JSON.stringify(answer) } } }],
    },
  };
}

/** Equal for two clusters between which nothing happened. */
export function fingerprint({ fc, observed }: PreviewCluster): string {
  const { namespace, objects, pods, claims, table } = observed;
  const whole = [fc, namespace, objects, pods.map(({ metadata }) => metadata.name), claims, table];
  return canonicalJson(whole) ?? "";
}

function stored(wish: KubeObject, live: KubeObject | undefined): KubeObject {
  const changed = live === undefined || canonicalJson(live.spec) !== canonicalJson(specOf(wish, live));
  const metadata = {
    ...wish.metadata,
    labels: { ...live?.metadata.labels, ...wish.metadata.labels },
    annotations: { ...live?.metadata.annotations, ...wish.metadata.annotations },
    uid: live?.metadata.uid ?? `(new ${identity(wish)})`,
    generation: (live?.metadata.generation ?? 0) + (changed ? 1 : 0),
  };
  const spec = specOf(wish, live);
  return {
    ...wish,
    metadata,
    ...(spec === undefined ? {} : { spec }),
    ...(live?.status === undefined ? {} : { status: live.status }),
  };
}

/** The wish with what only the server chooses. */
function specOf(wish: KubeObject, live: KubeObject | undefined): unknown {
  if (wish.kind !== "Service") return wish.spec;
  const { clusterIP = ASSIGNED } = (live?.spec ?? {}) as { clusterIP?: string };
  return { clusterIP, ...(wish.spec as object) };
}

function written(fc: FulfillmentCenter, plan: Plan): FulfillmentCenter | undefined {
  const others = (fc.metadata.finalizers ?? []).filter((name) => name !== FINALIZER);
  const finalizers =
    plan.finalizer === "keep"
      ? (fc.metadata.finalizers ?? [])
      : [...others, ...(plan.finalizer === "add" ? [FINALIZER] : [])];
  if (isDeleting(fc) && finalizers.length === 0) return undefined;
  return { ...fc, metadata: { ...fc.metadata, finalizers }, status: plan.status };
}

/** The garbage collector: pods go with the workload whose component they carry. */
function livingPods(pods: readonly KubeObject[], objects: readonly KubeObject[]): KubeObject[] {
  const uids = new Set(objects.map(({ metadata }) => metadata.uid));
  const components = new Set(
    objects
      .filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet")
      .map(({ metadata }) => metadata.name),
  );
  return pods.filter(
    ({ metadata }) =>
      components.has(metadata.labels?.[LABELS.component] ?? "") ||
      metadata.ownerReferences?.some(({ uid }) => uids.has(uid)) === true,
  );
}

function settled(object: KubeObject, nowMs: number): KubeObject {
  const { generation: observedGeneration } = object.metadata;
  if (object.kind === "Deployment" || object.kind === "StatefulSet") {
    const { replicas = 1 } = object.spec as { replicas?: number };
    const counts = {
      replicas,
      readyReplicas: replicas,
      updatedReplicas: replicas,
      availableReplicas: replicas,
    };
    return { ...object, status: { observedGeneration, ...counts } };
  }
  const conditions = (object.status as { conditions?: { type: string }[] } | undefined)?.conditions ?? [];
  if (object.kind !== "Job" || conditions.some(({ type }) => type === "Failed" || type === "Complete"))
    return object;
  const lastTransitionTime = new Date(nowMs).toISOString();
  return { ...object, status: { conditions: [{ type: "Complete", status: "True", lastTransitionTime }] } };
}

/** The region's table with this center's entry as it will be; the entries of others stay as they are. */
function routed(fc: FulfillmentCenter | undefined, observed: Observed): RoutingTable | undefined {
  const { table } = observed;
  const region = fc?.spec.region ?? table?.metadata.name;
  if (region === undefined) return table;
  const others = (table?.spec.cells ?? [])
    .filter(({ name }) => name !== fc?.metadata.name)
    .map(({ name }) => ({ name, fc: undefined, services: [], publicKey: undefined }));
  const services = observed.objects.filter(({ kind }) => kind === "Service");
  const known = table?.spec.cells.find(({ name }) => name === fc?.metadata.name)?.publicKey;
  const hasKey = observed.objects.some(
    ({ kind, metadata }) => kind === "Secret" && metadata.name === "trust",
  );
  const publicKey = known ?? (hasKey ? JSON.stringify(observed.cellKey.publicJwk) : undefined);
  const own = fc === undefined ? [] : [{ name: fc.metadata.name, fc, services, publicKey }];
  const next = nextRoutingTable([...others, ...own], table?.spec);
  if (next === undefined) return table;
  return {
    apiVersion: API_VERSION,
    kind: "RoutingTable",
    metadata: { ...table?.metadata, name: region },
    spec: next,
  } as RoutingTable & { kind: typeof ROUTING_TABLE.kind };
}
