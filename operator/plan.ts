import type { KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";

/** Something worth an Event; `key` keeps it from being told again while nothing has changed. */
export interface Notice {
  readonly key: string;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

/** What one pass wants. Total: every situation has a plan, and the plan says everything that may be written. */
export interface Plan {
  /** To be applied, in this order. */
  readonly objects: readonly KubeObject[];
  /** To be deleted, after everything was applied. */
  readonly prune: readonly KubeObject[];
  readonly status: FulfillmentCenterStatus;
  readonly finalizer: "keep" | "add" | "remove";
  readonly requeueAfterMs?: number;
  readonly notices: readonly Notice[];
}
