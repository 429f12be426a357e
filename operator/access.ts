import { KINDS } from "../platform/kube/kinds.ts";
import type { ResourceRef } from "../platform/kube/objects.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "./api/names.ts";
import { CELL_KINDS } from "./stores.ts";

/** What the operator may do with one kind. The chart's roles grant exactly this. */
export interface Grant {
  readonly ref: ResourceRef;
  readonly subresource?: "status" | "finalizers";
  readonly verbs: readonly string[];
}

const FOLLOW = ["list", "watch"];
const OWN = [...FOLLOW, "create", "patch", "delete"];

/** In the whole cluster: cells are namespaces that come and go, so no Role can be made for them beforehand. */
export const CLUSTER_GRANTS: readonly Grant[] = [
  { ref: FULFILLMENT_CENTER, verbs: [...FOLLOW, "patch"] },
  { ref: FULFILLMENT_CENTER, subresource: "status", verbs: ["patch"] },
  { ref: ROUTING_TABLE, verbs: [...FOLLOW, "create", "patch"] },
  { ref: KINDS.namespace, verbs: OWN },
  ...CELL_KINDS.map((ref) => ({ ref, verbs: OWN })),
  { ref: KINDS.persistentVolumeClaim, verbs: [...FOLLOW, "patch"] },
  { ref: KINDS.pod, verbs: FOLLOW },
];

/** In the operator's own namespace. */
export const NAMESPACE_GRANTS: readonly Grant[] = [
  { ref: KINDS.lease, verbs: ["get", "create", "update"] },
  { ref: KINDS.secret, verbs: ["create"] },
];

/** Where the recorder writes Events about cluster-scoped objects. */
export const EVENT_GRANT: Grant = { ref: KINDS.event, verbs: ["create", "patch"] };
