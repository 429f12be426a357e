import { findCondition } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";

export type Kstatus = "InProgress" | "Failed" | "Current" | "Terminating";

/**
 * How tools that wait for a resource judge it: by the conventions of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus), which
 * look at the deletion, at the observed generation, and at two conditions that are there only when something is amiss.
 */
export function kstatusOf({ metadata, status }: Pick<FulfillmentCenter, "metadata" | "status">): Kstatus {
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  const { observedGeneration, conditions } = status ?? {};
  if (observedGeneration !== undefined && observedGeneration !== metadata.generation) return "InProgress";
  const isTrue = (type: string) => findCondition(conditions, type)?.status === "True";
  if (isTrue("Reconciling")) return "InProgress";
  return isTrue("Stalled") ? "Failed" : "Current";
}
