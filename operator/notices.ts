import { type Condition, findCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import type { Notice } from "./plan.ts";

/** Conditions of which people are told whenever they become True or have another reason. */
const TOLD = ["Ready", "Draining", "Deleting", "Stalled", "DataLost", "Degraded", "Reconciling"] as const;
type Told = (typeof TOLD)[number];

/** What is on its way as it should be. Any other reason to be under way is something in the way. */
const PROGRESS: ReadonlySet<string> = new Set([
  ...["Creating", "Starting", "WaitingForDatabase", "Migrating", "WaitingForJob"],
  ...["WaitingForTopics", "WaitingForSchema", "RollingOut", "EpochIssued", "Fencing", "Held", "Paused"],
]);
/** Of these the ones that every new cell goes through, in seconds each. */
const STEPS: ReadonlySet<string> = new Set([
  ...["Starting", "WaitingForDatabase", "Migrating", "WaitingForJob", "WaitingForSchema", "RollingOut"],
]);
const DELETING: ReadonlySet<string> = new Set(["FinalizersRemaining", "ContentRemaining", "Protected"]);

/** Events for what has changed between two statuses, each with the reason and message of its condition. */
export function noticesBetween(
  before: FulfillmentCenterStatus | undefined,
  after: FulfillmentCenterStatus,
): Notice[] {
  return TOLD.flatMap((type) => {
    const then = findCondition(before?.conditions, type);
    const now = findCondition(after.conditions, type);
    // The condition Deleting says it better.
    if (now === undefined || (type === "Reconciling" && now.reason === "Deleting")) return [];
    // A new cell says that it is begun and that it is ready; the steps between are in its conditions.
    if (type === "Reconciling" && STEPS.has(now.reason) && before?.admittedEpoch === undefined) return [];
    if (now.status !== "True" || (then?.status === "True" && then.reason === now.reason)) return [];
    return [
      {
        // The generation keeps what is said again after another change of the spec from being taken for a repetition.
        key: `${type} ${now.reason} ${now.lastTransitionTime} ${now.observedGeneration}`,
        type: severityOf(type, now),
        reason: now.reason,
        action: type,
        note: now.message,
      },
    ];
  });
}

function severityOf(type: Told, { reason }: Condition): Notice["type"] {
  switch (type) {
    case "Ready":
    case "Draining":
      return "Normal";
    case "Reconciling":
      return PROGRESS.has(reason) ? "Normal" : "Warning";
    case "Deleting":
      return DELETING.has(reason) ? "Warning" : "Normal";
    default:
      return "Warning";
  }
}
