import type { KubeObject } from "../platform/kube/objects.ts";
import type { Blocker } from "./api/fulfillment-center-status.ts";
import type { Observed } from "./observed.ts";
import { quotaShortage } from "./shortage.ts";
import { statusesOf } from "./workloads.ts";

interface WithConditions {
  readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
}

const MAX_BLOCKERS = 16;
/** States that pass by themselves within a second or two and would only flicker in the status. */
const USUAL = new Set(["ContainerCreating", "PodInitializing"]);

/** Everything that keeps the cell from going on: what its quota refuses, then pods that cannot start. */
export function blockersOf(observed: Pick<Observed, "objects" | "pods" | "claims">): Blocker[] {
  const byQuota = new Map<string, Set<string>>();
  for (const object of observed.objects) {
    const short = quotaShortage(object, observed);
    if (short === undefined) continue;
    const known = byQuota.get(short.quota) ?? new Set();
    for (const resource of short.resources) known.add(resource);
    byQuota.set(short.quota, known);
  }
  const short = [...byQuota].map(([name, resources]): Blocker => {
    const reason = `exceeded quota: ${[...resources].sort().join(", ")}`;
    return { kind: "ResourceQuota", name, reason: reason.slice(0, 256) };
  });
  return [...short, ...blockedPods(observed.pods)].slice(0, MAX_BLOCKERS);
}

/** Pods that cannot start, with the reason that the scheduler or kubelet gives; sorted by name. */
export function blockedPods(pods: readonly KubeObject[]): Blocker[] {
  const found = pods.flatMap((pod): Blocker[] => {
    const reason = blockedBy(pod);
    return reason === undefined
      ? []
      : [{ kind: "Pod", name: pod.metadata.name, reason: reason.slice(0, 256) }];
  });
  return found.sort((a, b) => a.name.localeCompare(b.name)).slice(0, MAX_BLOCKERS);
}

function blockedBy(pod: KubeObject): string | undefined {
  const conditions = ((pod.status ?? {}) as WithConditions).conditions ?? [];
  const unscheduled = conditions.find(({ type, status }) => type === "PodScheduled" && status === "False");
  if (unscheduled !== undefined)
    return `${unscheduled.reason ?? "Unscheduled"}: ${unscheduled.message ?? ""}`.trim();
  for (const { state, lastState } of statusesOf(pod)) {
    const reason = state?.waiting?.reason;
    if (reason === undefined || USUAL.has(reason)) continue;
    const exit = lastState?.terminated?.exitCode;
    // The kubelet's own text counts seconds of backoff: the reason alone does not change from pass to pass.
    return exit === undefined ? reason : `${reason} after exit code ${exit}`;
  }
  return undefined;
}
