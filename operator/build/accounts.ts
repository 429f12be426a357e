import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { type Cell, metadata } from "./cell.ts";
import { ISOLATION_PROBE } from "./probe.ts";

/** Name of the ServiceAccount that runs all slices in Compact. */
export const COMPACT = "cell";

/** An identity for each workload, without a token and without a Role: nothing in a cell needs the Kubernetes API. */
export function buildServiceAccounts(cell: Cell): KubeObject[] {
  const slices = cell.spec.topology === "Separate" ? SLICE_NAMES : [COMPACT];
  const database = cell.spec.database.external === undefined ? ["database"] : [];
  return [...slices, ...database, "cache", "provision", ISOLATION_PROBE].map((name) => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: metadata(cell, name),
    automountServiceAccountToken: false,
  }));
}
