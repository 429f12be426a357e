import { type Condition, type ConditionInput, setCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import type { WriteFailure } from "./apply.ts";
import { trimmed } from "./errors.ts";
import { phaseOf } from "./phase.ts";

/** The status of a pass whose writes were refused for good: a person has to act, and reads the server's own sentence. */
export function withWriteFailures(
  fc: FulfillmentCenter,
  status: FulfillmentCenterStatus,
  failures: readonly WriteFailure[],
  nowMs: number,
): FulfillmentCenterStatus {
  const refused = failures.find(({ temporary }) => !temporary);
  if (refused === undefined) return status;
  const reason = refused.failure.code === "forbidden" ? "WriteForbidden" : "WriteRefused";
  const message = `${refused.object}: ${trimmed(refused.failure.message)} It is tried again.`;
  const observedGeneration = fc.metadata.generation ?? 0;
  let conditions: readonly Condition[] = status.conditions ?? [];
  const verdicts: [string, Condition["status"]][] = [
    ["Stalled", "True"],
    ["Ready", "False"],
    ["Reconciling", "False"],
  ];
  for (const [type, value] of verdicts) {
    const input: ConditionInput = { type, status: value, reason, message, observedGeneration };
    conditions = setCondition(restored(conditions, fc, type), input, nowMs);
  }
  return {
    ...status,
    conditions: [...conditions],
    phase: phaseOf(fc, conditions, status.admittedEpoch !== undefined),
  };
}

/** Puts back the condition as it was before the pass, so that its transition time is that of a real change. */
function restored(conditions: readonly Condition[], fc: FulfillmentCenter, type: string): Condition[] {
  const before = fc.status?.conditions?.find((condition) => condition.type === type);
  const others = conditions.filter((condition) => condition.type !== type);
  return before === undefined ? others : [...others, before];
}
