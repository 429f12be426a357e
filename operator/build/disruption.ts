import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import { type Cell, metadata } from "./cell.ts";
import { databaseReplicas } from "./database.ts";
import { deploymentNames } from "./slices.ts";

/** One pod of a workload at a time may be evicted: a drain of a node goes on, and never takes a majority. */
export function buildDisruptionBudgets(cell: Cell): KubeObject[] {
  const stores = databaseReplicas(cell) > 0 ? ["database", "cache"] : ["cache"];
  return [...deploymentNames(cell), ...stores].map((name) => ({
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: metadata(cell, name),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: "AlwaysAllow",
      selector: { matchLabels: { [LABELS.component]: name } },
    },
  }));
}
