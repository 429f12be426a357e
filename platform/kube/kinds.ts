import { apiVersionOf, type KubeObject, type ResourceRef } from "./objects.ts";

function kind(
  apiVersion: string,
  plural: string,
  name: string,
  scope: "Namespaced" | "Cluster" = "Namespaced",
): ResourceRef {
  const slash = apiVersion.indexOf("/");
  return {
    group: slash < 0 ? "" : apiVersion.slice(0, slash),
    version: apiVersion.slice(slash + 1),
    plural,
    kind: name,
    namespaced: scope === "Namespaced",
  };
}

/** The built-in kinds that this project reads or writes. */
export const KINDS = {
  namespace: kind("v1", "namespaces", "Namespace", "Cluster"),
  node: kind("v1", "nodes", "Node", "Cluster"),
  pod: kind("v1", "pods", "Pod"),
  service: kind("v1", "services", "Service"),
  serviceAccount: kind("v1", "serviceaccounts", "ServiceAccount"),
  secret: kind("v1", "secrets", "Secret"),
  configMap: kind("v1", "configmaps", "ConfigMap"),
  persistentVolumeClaim: kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
  resourceQuota: kind("v1", "resourcequotas", "ResourceQuota"),
  limitRange: kind("v1", "limitranges", "LimitRange"),
  deployment: kind("apps/v1", "deployments", "Deployment"),
  statefulSet: kind("apps/v1", "statefulsets", "StatefulSet"),
  replicaSet: kind("apps/v1", "replicasets", "ReplicaSet"),
  job: kind("batch/v1", "jobs", "Job"),
  networkPolicy: kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
  horizontalPodAutoscaler: kind("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
  podDisruptionBudget: kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
  role: kind("rbac.authorization.k8s.io/v1", "roles", "Role"),
  roleBinding: kind("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding"),
  clusterRole: kind("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "Cluster"),
  clusterRoleBinding: kind(
    "rbac.authorization.k8s.io/v1",
    "clusterrolebindings",
    "ClusterRoleBinding",
    "Cluster",
  ),
  lease: kind("coordination.k8s.io/v1", "leases", "Lease"),
  event: kind("events.k8s.io/v1", "events", "Event"),
  endpointSlice: kind("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
  customResourceDefinition: kind(
    "apiextensions.k8s.io/v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    "Cluster",
  ),
  validatingAdmissionPolicy: kind(
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    "Cluster",
  ),
  validatingAdmissionPolicyBinding: kind(
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    "Cluster",
  ),
} as const satisfies Record<string, ResourceRef>;

/** Finds the ResourceRef of an object by its apiVersion and kind, among the given kinds and the built-in ones. */
export function createKindTable(
  own: readonly ResourceRef[],
): (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef {
  const table = new Map<string, ResourceRef>();
  for (const ref of [...Object.values(KINDS), ...own]) table.set(`${apiVersionOf(ref)} ${ref.kind}`, ref);
  return (object) => {
    const found = table.get(`${object.apiVersion} ${object.kind}`);
    if (found === undefined)
      throw new Error(
        `kind ${object.kind} of ${object.apiVersion} is not in the table of kinds: add its ResourceRef`,
      );
    return found;
  };
}
