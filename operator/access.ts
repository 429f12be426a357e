import { KINDS } from "../platform/kube/kinds.ts";
import type { ResourceRef } from "../platform/kube/objects.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "./api/names.ts";
import { LEASE_NAME } from "./operator.ts";
import { CELL_KINDS } from "./stores.ts";

/** What one of our processes may do with one kind. The chart's roles grant exactly this: a test compares both ways. */
export interface Grant {
  readonly ref: ResourceRef;
  readonly subresource?: "status";
  /** Only objects of these names; a verb that knows no name beforehand (create) cannot be bound so. */
  readonly names?: readonly string[];
  readonly verbs: readonly string[];
  /** What breaks without it. */
  readonly why: string;
}

const FOLLOW = ["list", "watch"];
const MAKE = [...FOLLOW, "create", "patch"];
const OWN = [...MAKE, "delete"];

/**
 * In the whole cluster: cells are namespaces that come and go, and a Role made for each of them would need the right to
 * hand out rights. Nothing is read one by one (`get`): a pass reads local copies that list and watch fill. An admission
 * policy narrows the writing to namespaces of cells.
 */
export const CLUSTER_GRANTS: readonly Grant[] = [
  {
    ref: FULFILLMENT_CENTER,
    verbs: [...FOLLOW, "patch"],
    why: "follows centers; adds and removes the finalizer",
  },
  {
    ref: FULFILLMENT_CENTER,
    subresource: "status",
    verbs: ["update"],
    why: "reports conditions and the epoch",
  },
  {
    ref: ROUTING_TABLE,
    verbs: MAKE,
    why: "one table for each region; it is never deleted: its tombstones are needed",
  },
  {
    ref: KINDS.namespace,
    verbs: OWN,
    why: "one for each cell; sees those that somebody else made under its name",
  },
  ...CELL_KINDS.map((ref) => ({
    ref,
    verbs: ref === KINDS.secret ? MAKE : OWN,
    why:
      ref === KINDS.secret
        ? "passwords and keys of cells and gateways; they go with their namespace, never by themselves"
        : "the objects of a cell, and their removal when nothing wants them any more",
  })),
  {
    ref: KINDS.persistentVolumeClaim,
    verbs: [...FOLLOW, "patch"],
    why: "volumes grow; they go with their namespace",
  },
  {
    ref: KINDS.horizontalPodAutoscaler,
    verbs: FOLLOW,
    why: "leaves the number of replicas to an autoscaler that targets a service",
  },
  { ref: KINDS.pod, verbs: FOLLOW, why: "why a pod does not start, and what a Job said at its end" },
];

/** In the operator's own namespace. */
export const NAMESPACE_GRANTS: readonly Grant[] = [
  { ref: KINDS.lease, verbs: ["create"], why: "the first operator makes the Lease of the leader" },
  { ref: KINDS.lease, names: [LEASE_NAME], verbs: ["get", "update"], why: "takes and renews the leadership" },
];

/** In the namespace where events about cluster-scoped objects live and `kubectl describe` looks for them. */
export const EVENT_NAMESPACE = "default";
export const EVENT_GRANTS: readonly Grant[] = [
  {
    ref: KINDS.event,
    verbs: ["create", "patch"],
    why: "tells people what was done; a repeated event is counted",
  },
];

/** What the gateway of a region may do: follow its own table, and nothing else. */
export function gatewayGrants(region: string): readonly Grant[] {
  return [{ ref: ROUTING_TABLE, names: [region], verbs: FOLLOW, why: "where the cells of the region are" }];
}

const LOOK = ["get", "list", "watch"];

/** What only looking takes, of people and of `kubectl cell status` and `plan`: everything of a cell but its Secrets. */
export const VIEWER_GRANTS: readonly Grant[] = [
  { ref: FULFILLMENT_CENTER, verbs: LOOK, why: "spec and status" },
  { ref: ROUTING_TABLE, verbs: LOOK, why: "whether a cell takes orders" },
  { ref: KINDS.namespace, verbs: LOOK, why: "whose namespace a cell's is" },
  ...CELL_KINDS.filter((ref) => ref !== KINDS.secret).map((ref) => ({
    ref,
    verbs: LOOK,
    why: "the objects of a cell, to foretell what a change does to them",
  })),
  { ref: KINDS.persistentVolumeClaim, verbs: LOOK, why: "which volumes grow, and which a deletion loses" },
  { ref: KINDS.horizontalPodAutoscaler, verbs: LOOK, why: "whose replicas an autoscaler sets" },
  { ref: KINDS.pod, verbs: LOOK, why: "why a pod does not start" },
  { ref: KINDS.event, verbs: LOOK, why: "what happened last" },
];
