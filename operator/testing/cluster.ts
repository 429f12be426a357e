import { randomBytes } from "node:crypto";
import { createKubeClient, type KubeClient } from "../../platform/kube/client.ts";
import { type ClusterConfig, loadClusterConfig } from "../../platform/kube/config.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { buildCrds } from "../api/crd.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../api/names.ts";

export interface TestCluster {
  readonly config: ClusterConfig;
  readonly client: KubeClient;
  /** Namespace that stands for the operator's own; made for this test alone. */
  readonly namespace: string;
  close(): Promise<void>;
}

/** The API server of the test run, or another one, with our CRDs and a namespace of the test's own. */
export async function connectTestCluster(kubeconfigPath = process.env.TEST_KUBECONFIG): Promise<TestCluster> {
  if (kubeconfigPath === undefined)
    throw new Error("set TEST_KUBECONFIG to the kubeconfig of an API server for tests");
  const loaded = await loadClusterConfig({ kubeconfigPath });
  if (!loaded.ok) throw new Error(loaded.message);
  const client = createKubeClient(loaded.config, {
    log: silentLog,
    metrics: silentMetrics,
    userAgent: "operator-tests",
    fieldManager: "operator-tests",
  });
  for (const crd of buildCrds()) must(await client.apply(KINDS.customResourceDefinition, crd));
  for (const ref of [FULFILLMENT_CENTER, ROUTING_TABLE])
    await until(`${ref.plural} are served`, async () => (await client.list(ref)).ok);
  const namespace = uniqueName("operator");
  must(
    await client.create(KINDS.namespace, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    }),
  );
  return {
    config: loaded.config,
    client,
    namespace,
    async close() {
      await client.remove(KINDS.namespace, { name: namespace });
      await client.close();
    },
  };
}

/** Takes a center and its cell away without waiting for a teardown: here nobody needs its order. */
export async function discardCenter({ client }: TestCluster, name: string): Promise<void> {
  await client.remove(FULFILLMENT_CENTER, { name });
  await client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } });
  await client.remove(KINDS.namespace, { name: `cell-${name}` });
}

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString("hex")}`;
}

/** The value of a call that may not fail here. */
export function must<T>(result: { ok: true; value: T } | { ok: false; code: string; message: string }): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

const DEADLINE_MS = 60_000;
const POLL_MS = 50;

/** Waits for a fact. The deadline only keeps a broken run from hanging: nothing is concluded from how long it took. */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
