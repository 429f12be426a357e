import { tryRun } from "../../local/cluster/command.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";

/** Namespace in which only restricted pods are admitted. */
export function restrictedNamespace(name: string): KubeObject {
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/**
 * Asks the API server to create objects and to forget them again.
 * @returns what it answered: the names of those that it would take, and its sentences about those that it refuses
 */
export async function dryRun(
  objects: readonly KubeObject[],
): Promise<{ readonly taken: readonly string[]; readonly refusals: readonly string[] }> {
  const { TEST_KUBECTL: kubectl, TEST_KUBECONFIG: kubeconfig } = process.env;
  if (kubectl === undefined || kubeconfig === undefined)
    throw new Error("set TEST_KUBECTL and TEST_KUBECONFIG to a kubectl and an API server for tests");
  const flags = ["--dry-run=server", "--validate=strict", "--output=name", "--filename=-"];
  const result = await tryRun([kubectl, "--kubeconfig", kubeconfig, "create", ...flags], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
  });
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  return { taken: lines(result.stdout), refusals: lines(result.stderr) };
}
