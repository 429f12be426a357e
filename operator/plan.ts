import type { KubeObject, ResourceRef } from "../platform/kube/objects.ts";
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
  /**
   * Nobody looks at the cell again after this plan: the API server itself must show first that nothing of these kinds is
   * left in the namespace, as a copy may lag. What is left is deleted, and nothing else of the plan is written.
   */
  readonly leaves?: { readonly namespace: string; readonly kinds: readonly ResourceRef[] };
  readonly status: FulfillmentCenterStatus;
  readonly finalizer: "keep" | "add" | "remove";
  readonly requeueAfterMs?: number;
  readonly notices: readonly Notice[];
}
