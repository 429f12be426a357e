import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import { type Cell, metadata, ownerLabels } from "./cell.ts";

/**
 * The cell's namespace. It has no owner reference to the FulfillmentCenter on purpose: the garbage collector would
 * then delete the data before the finalizer has decided whether to keep it.
 */
export function buildNamespace(cell: Cell): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: cell.namespace,
      labels: {
        ...ownerLabels(cell),
        [LABELS.owner]: cell.uid,
        [LABELS.region]: cell.spec.region,
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
        "pod-security.kubernetes.io/warn": "restricted",
      },
    },
  };
}

/** Bounds of containers that come without their own, so that the quota never refuses a debugging pod for its form. */
export function buildLimitRange(cell: Cell): KubeObject {
  return {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: metadata(cell, "cell"),
    spec: {
      limits: [
        {
          type: "Container",
          default: { memory: "128Mi" },
          defaultRequest: { cpu: "10m", memory: "32Mi" },
        },
      ],
    },
  };
}
