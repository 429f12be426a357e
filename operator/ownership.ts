import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, cellNamespace, LABELS, MANAGER } from "./api/names.ts";
import type { Observed } from "./observed.ts";

export type Ownership =
  | { readonly kind: "absent" }
  | { readonly kind: "ours" }
  /** Retained data of an earlier center that this one takes over. */
  | { readonly kind: "adopting" }
  | { readonly kind: "terminating" }
  | {
      readonly kind: "taken";
      readonly reason: "NamespaceTaken" | "AdoptionRefused";
      readonly message: string;
    };

/** Whether the namespace of a center is its own. One without our mark is never touched. */
export function ownershipOf(fc: FulfillmentCenter, observed: Pick<Observed, "namespace">): Ownership {
  const { namespace } = observed;
  if (namespace === undefined) return { kind: "absent" };
  const labels = namespace.metadata.labels ?? {};
  const name = cellNamespace(fc.metadata.name);
  if (labels[LABELS.managedBy] !== MANAGER || labels[LABELS.center] !== fc.metadata.name) {
    return {
      kind: "taken",
      reason: "NamespaceTaken",
      message: `Namespace ${name} belongs to somebody else and is not touched; delete it or name the center differently.`,
    };
  }
  if (labels[LABELS.owner] === fc.metadata.uid)
    return isDeleting(namespace) ? { kind: "terminating" } : { kind: "ours" };
  if (isDeleting(namespace)) return { kind: "terminating" };
  const uid = namespace.metadata.uid ?? "";
  if (uid !== "" && fc.metadata.annotations?.[ANNOTATIONS.adopt] === uid) {
    const message = misfit(fc, namespace);
    return message === undefined
      ? { kind: "adopting" }
      : { kind: "taken", reason: "AdoptionRefused", message };
  }
  return {
    kind: "taken",
    reason: "NamespaceTaken",
    message:
      `Namespace ${name} holds data of an earlier center of this name; take it over with the annotation ` +
      `${ANNOTATIONS.adopt}=${uid}, or delete the namespace to begin empty.`,
  };
}

/** What keeps the data of this store: an engine of ours, or somebody else's database. */
export function storeOf({ database }: FulfillmentCenter["spec"]): string {
  return database.external === undefined ? database.engine : "external";
}

/** Why the retained data cannot become this center's; what is the same in both is not written anywhere else. */
function misfit(fc: FulfillmentCenter, namespace: KubeObject): string | undefined {
  const { labels = {}, annotations = {} } = namespace.metadata;
  const undo = "delete this center and make it anew so, or remove the annotation to leave the data alone.";
  const region = labels[LABELS.region];
  if (region !== undefined && region !== fc.spec.region)
    return `Namespace ${namespace.metadata.name} holds data of region ${region}, and this center is of ${fc.spec.region}; set region to ${region}: ${undo}`;
  const store = annotations[ANNOTATIONS.engine];
  if (store === undefined || store === storeOf(fc.spec)) return undefined;
  return store === "external"
    ? `The data of namespace ${namespace.metadata.name} is in an external database, and this center asks for its own; set database.external: ${undo}`
    : `Namespace ${namespace.metadata.name} holds data of ${store}, and this center asks for ${storeOf(fc.spec)}; set database.engine to ${store}: ${undo}`;
}

/** Uid of the namespace that vanished together with accepted orders; undefined when nothing was lost or it is acknowledged. */
export function lostNamespace(
  fc: FulfillmentCenter,
  observed: Pick<Observed, "namespace">,
): string | undefined {
  const status = fc.status ?? {};
  const present = observed.namespace?.metadata.uid;
  const acknowledged =
    present !== undefined && fc.metadata.annotations?.[ANNOTATIONS.acknowledgeDataLoss] === present;
  if (acknowledged) return undefined;
  if (status.lostNamespaceUid !== undefined) return status.lostNamespaceUid;
  return status.admittedEpoch !== undefined && namespaceReplaced(fc, observed)
    ? status.namespaceUid
    : undefined;
}

/** True when the namespace that the status speaks of is gone or another one stands in its place. */
export function namespaceReplaced(fc: FulfillmentCenter, observed: Pick<Observed, "namespace">): boolean {
  const recorded = fc.status?.namespaceUid;
  return recorded !== undefined && recorded !== observed.namespace?.metadata.uid;
}
