import { type Condition, findCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";

/** One word for people who read `kubectl get fc`. Derived from the conditions; nothing may depend on it. */
export function phaseOf(fc: FulfillmentCenter, conditions: readonly Condition[], admitted: boolean): string {
  const is = (type: string) => findCondition(conditions, type)?.status === "True";
  if (is("Deleting")) return "Deleting";
  if (fc.spec.paused) return "Paused";
  if (is("DataLost")) return "DataLost";
  if (is("Stalled")) return "Stalled";
  if (fc.spec.mode === "Fenced") return is("Ready") ? "Fenced" : "Fencing";
  if (is("Ready")) return fc.spec.mode === "Draining" ? "Draining" : "Ready";
  if (!admitted) return "Provisioning";
  return is("Available") ? "Updating" : "Unavailable";
}
