import type { Api } from "./api.ts";
import type { Layout } from "./layout.ts";

interface NodeObject {
  readonly spec: { readonly taints?: readonly { readonly effect: string }[] };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

interface DeploymentObject {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly replicas: number };
  readonly status: { readonly observedGeneration?: number; readonly availableReplicas?: number };
}

/** True when the node is there, says that it is ready, and nothing keeps pods away from it. */
export async function nodeIsReady(api: Api, layout: Layout): Promise<boolean> {
  const node = await api.get<NodeObject>(`/api/v1/nodes/${layout.nodeName}`);
  const ready = node.status.conditions?.some((one) => one.type === "Ready" && one.status === "True") ?? false;
  return ready && (node.spec.taints ?? []).length === 0;
}

/** True when as many pods of a deployment as were asked for are available. */
export async function deploymentIsAvailable(api: Api, namespace: string, name: string): Promise<boolean> {
  const found = await api.get<DeploymentObject>(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
  const seen = found.status.observedGeneration === found.metadata.generation;
  return seen && (found.status.availableReplicas ?? 0) >= found.spec.replicas;
}
