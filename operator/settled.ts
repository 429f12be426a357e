import { type Condition, findCondition, isConditionTrue } from "../platform/kube/objects.ts";

/** Whether a cell is as it should be, and its probe has said whether it is closed: what changes in it now is a person's, or a failure. */
export function isSettled(conditions: readonly Condition[] | undefined): boolean {
  const isolated = findCondition(conditions, "Isolated");
  return isConditionTrue(conditions, "Ready") && isolated !== undefined && isolated.status !== "Unknown";
}
