import { findCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import type { Notice } from "./plan.ts";

/** Conditions whose turn to True is worth an Event, and how bad it is. */
const TOLD = {
  Ready: "Normal",
  Draining: "Normal",
  Deleting: "Normal",
  Stalled: "Warning",
  DataLost: "Warning",
  Degraded: "Warning",
} as const;

/** Events for what has changed between two statuses; the same two never differ, so nothing is told twice. */
export function noticesBetween(
  before: FulfillmentCenterStatus | undefined,
  after: FulfillmentCenterStatus,
): Notice[] {
  return Object.entries(TOLD).flatMap(([type, severity]) => {
    const then = findCondition(before?.conditions, type);
    const now = findCondition(after.conditions, type);
    if (now?.status !== "True" || then?.status === "True") return [];
    return [
      {
        key: `${type} ${now.lastTransitionTime}`,
        type: severity,
        reason: now.reason,
        action: type,
        note: now.message,
      },
    ];
  });
}
