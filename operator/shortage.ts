import type { KubeObject } from "../platform/kube/objects.ts";
import { LABELS } from "./api/names.ts";
import { sumOfWorkloads } from "./build/quota.ts";
import { type StepState, stalled } from "./errors.ts";
import { find, type Observed } from "./observed.ts";

/** Pods that the cell's quota does not let a workload make. */
export interface Shortage {
  /** Name of the ResourceQuota. */
  readonly quota: string;
  /** What is short, without numbers that change by themselves. */
  readonly resources: readonly string[];
  /** The next action. */
  readonly remedy: string;
}

interface QuotaStatus {
  readonly hard?: Readonly<Record<string, string>>;
  readonly used?: Readonly<Record<string, string>>;
}
interface Counts {
  readonly replicas?: number;
  readonly active?: number;
  readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
}

/** Which field of the spec sets a limit; the others follow from what the cell needs. */
const SPEC_FIELDS: Readonly<Record<string, string>> = {
  "requests.cpu": "cpu",
  "requests.memory": "memory",
  "requests.storage": "storage",
  pods: "pods",
};

/**
 * Why the quota keeps `workload` from having its pods. A Deployment says so itself; a StatefulSet or Job only tells in events, so what
 * one more of its pods asks for is compared with what the quota has left.
 */
export function quotaShortage(
  workload: KubeObject | undefined,
  observed: Pick<Observed, "objects" | "pods" | "claims">,
): Shortage | undefined {
  if (workload === undefined) return undefined;
  if (workload.kind === "Deployment") return told(workload);
  return lacksPods(workload, observed) ? computed(workload, observed) : undefined;
}

/** A quota that is full waits for a person; one that has room again lets the workload go on by itself. */
export function shortOf(
  workload: KubeObject | undefined,
  observed: Pick<Observed, "objects" | "pods" | "claims">,
): StepState | undefined {
  const short = quotaShortage(workload, observed);
  return short === undefined
    ? undefined
    : stalled(
        "QuotaExceeded",
        `${workload?.kind} ${workload?.metadata.name} cannot make its pods: exceeded quota ${short.quota}: ${short.resources.join(", ")}; ${short.remedy}.`,
      );
}

function told(deployment: KubeObject): Shortage | undefined {
  const { conditions = [] } = (deployment.status ?? {}) as Counts;
  const refusal = conditions.find(({ type, status }) => type === "ReplicaFailure" && status === "True");
  const [, name, requested = ""] =
    /exceeded quota: ([^,]+), requested: (.*?), used:/.exec(refusal?.message ?? "") ?? [];
  if (name === undefined) return undefined;
  const resources = [...requested.matchAll(/([\w./-]+)=/g)].map(([, resource = ""]) => resource);
  return shortageOf(name, resources.length === 0 ? ["pods"] : resources);
}

function lacksPods(workload: KubeObject, observed: Pick<Observed, "pods">): boolean {
  const status = (workload.status ?? {}) as Counts;
  if (workload.kind === "StatefulSet")
    return (status.replicas ?? 0) < ((workload.spec as { replicas?: number }).replicas ?? 1);
  const ended = status.conditions?.some(
    ({ type, status: value }) => ["Complete", "Failed"].includes(type) && value === "True",
  );
  const pods = observed.pods.some((pod) =>
    pod.metadata.ownerReferences?.some(({ uid }) => uid === workload.metadata.uid),
  );
  return workload.kind === "Job" && ended !== true && (status.active ?? 0) === 0 && !pods;
}

function computed(
  workload: KubeObject,
  observed: Pick<Observed, "objects" | "claims">,
): Shortage | undefined {
  const quota = find(observed, "ResourceQuota", "cell");
  const { hard = {}, used = {} } = (quota?.status ?? {}) as QuotaStatus;
  const one = { ...workload, spec: { ...(workload.spec as object), replicas: 1 } };
  const need = sumOfWorkloads([one]);
  const claimed = observed.claims.filter(
    ({ metadata }) => metadata.labels?.[LABELS.component] === workload.metadata.name,
  ).length;
  const volumes = claimed === 0;
  const asked: Readonly<Record<string, number>> = {
    pods: 1,
    "requests.cpu": need.cpuMillicores / 1000,
    "requests.memory": need.memoryBytes,
    "limits.memory": need.memoryLimitBytes,
    "requests.storage": volumes ? need.storageBytes : 0,
    persistentvolumeclaims: volumes ? need.volumes : 0,
  };
  const short = Object.entries(asked).filter(([resource, more]) => {
    const limit = amountOf(hard[resource]);
    const taken = amountOf(used[resource]);
    return more > 0 && limit !== undefined && taken !== undefined && taken + more > limit;
  });
  return short.length === 0
    ? undefined
    : shortageOf(
        "cell",
        short.map(([resource]) => resource),
      );
}

function shortageOf(quota: string, resources: readonly string[]): Shortage {
  const fields = resources.map((resource) => SPEC_FIELDS[resource]).filter((field) => field !== undefined);
  const remedy =
    fields.length === 0
      ? "see kubectl describe resourcequota in the cell's namespace"
      : `raise ${fields.map((field) => `isolation.quota.${field}`).join(" and ")}, or leave it out for what the cell needs`;
  return { quota, resources, remedy };
}

const POWERS: Readonly<Record<string, number>> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** Any quantity of the API as a number; undefined for what is none. */
function amountOf(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * (POWERS[match[2] ?? ""] ?? Number.NaN);
}
