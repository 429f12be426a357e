import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createApi } from "../../local/cluster/api.ts";
import type { ApiServer } from "../../local/cluster/apiserver.ts";
import type { KubeClient } from "../../platform/kube/client.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { KubeObject, ResourceRef } from "../../platform/kube/objects.ts";
import { NAMESPACE } from "./contender.ts";
import { must } from "./must.ts";

const ACCOUNT = "operator";
const ROLE_BINDING: ResourceRef = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural: "clusterrolebindings",
  kind: "ClusterRoleBinding",
  namespaced: false,
};
/** Longer than any run. */
const TOKEN_SECONDS = 6 * 3600;

/**
 * A kubeconfig with the token of a ServiceAccount, which is how an operator in a pod says who it is. The API server verifies a client
 * certificate anew for each request, and of a client of OpenSSL, which sends the authority along, at twice the price.
 */
export async function operatorKubeconfig(
  server: ApiServer,
  client: KubeClient,
  dir: string,
): Promise<string> {
  const metadata = { name: ACCOUNT, namespace: NAMESPACE };
  must(await client.create(KINDS.serviceAccount, { apiVersion: "v1", kind: "ServiceAccount", metadata }));
  must(
    await client.create(ROLE_BINDING, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: NAMESPACE },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", ...metadata }],
    } as KubeObject),
  );
  const certificates = dirname(server.kubeconfigPath);
  const token = await createApi(server.url, certificates).tokenOf(metadata, TOKEN_SECONDS);
  const authority = readFileSync(join(certificates, "ca.crt")).toString("base64");
  const named = <K extends string, V>(kind: K, value: V) => ({ name: ACCOUNT, [kind]: value });
  const path = join(dir, "operator.kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": ACCOUNT,
    clusters: [named("cluster", { server: server.url, "certificate-authority-data": authority })],
    users: [named("user", { token })],
    contexts: [named("context", { cluster: ACCOUNT, user: ACCOUNT })],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
