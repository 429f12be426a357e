import type { ResourceRef } from "../../platform/kube/objects.ts";

export const GROUP = "cells.fulfillment.io";
export const API_VERSION = `${GROUP}/v1alpha1`;

export const FULFILLMENT_CENTER: ResourceRef = {
  group: GROUP,
  version: "v1alpha1",
  plural: "fulfillmentcenters",
  kind: "FulfillmentCenter",
  namespaced: false,
};

export const ROUTING_TABLE: ResourceRef = {
  group: GROUP,
  version: "v1alpha1",
  plural: "routingtables",
  kind: "RoutingTable",
  namespaced: false,
};

/** Field manager of every write, and value of the managed-by label that selects our objects. */
export const MANAGER = "fulfillment-cells";

/** Label keys. `slice(name)` marks the pods that run a slice; in Compact one pod carries all seven. */
export const LABELS = {
  managedBy: "app.kubernetes.io/managed-by",
  component: "app.kubernetes.io/component",
  center: `${GROUP}/center`,
  /** On the namespace: uid of the FulfillmentCenter that owns it; empty on a retained one. */
  owner: `${GROUP}/owner`,
  /** On a namespace kept after its center's deletion: uid of that center. */
  retained: `${GROUP}/retained`,
  region: `${GROUP}/region`,
  /** On namespaces whose pods may scrape metrics. */
  monitoring: `${GROUP}/monitoring`,
  slice: (name: string) => `slice.${GROUP}/${name}`,
} as const;

export const ANNOTATIONS = {
  /** On a workload: the operator leaves the whole object alone until this time (RFC 3339, at most 15 min ahead). */
  heldUntil: `${GROUP}/held-until`,
  /** On a FulfillmentCenter: uid of a retained namespace to take over. */
  adopt: `${GROUP}/adopt`,
  /** On a FulfillmentCenter: uid of the namespace that replaced a lost one; admits the empty cell to routing. */
  acknowledgeDataLoss: `${GROUP}/acknowledge-data-loss`,
  /** On a FulfillmentCenter or a RoutingTable: any new value asks for new credentials. On a Secret: the value that led to them. */
  rotateCredentials: `${GROUP}/rotate-credentials`,
  /** On the Secret of a region's gateways: when their key was last changed (RFC 3339). */
  rotatedAt: `${GROUP}/rotated-at`,
  /** On a retained namespace: the last epoch of the center that left it. */
  epoch: `${GROUP}/epoch`,
  /** On a retained namespace: the engine of the database whose volumes are in it. */
  engine: `${GROUP}/engine`,
  /** On workloads: hash of the desired spec, so that a rollout of an older one is not taken for done. */
  revision: `${GROUP}/revision`,
  /** On pod templates: hash of the Secrets that the pods read. */
  configChecksum: `${GROUP}/config-checksum`,
  /** On the Job of an isolation probe: names of the cells that it tries, with commas between. */
  neighbours: `${GROUP}/neighbours`,
  /** On every object: hash of what was desired when it was last applied. */
  applied: `${GROUP}/applied`,
} as const;

/** The one finalizer, on the FulfillmentCenter only. */
export const FINALIZER = `${GROUP}/cell`;

/** The center whose cell has a namespace of this name; undefined for other namespaces. */
export function centerOfNamespace(namespace: string): string | undefined {
  return namespace.startsWith("cell-") ? namespace.slice("cell-".length) : undefined;
}

/** Namespace of a center's cell. */
export function cellNamespace(center: string): string {
  return `cell-${center}`;
}
