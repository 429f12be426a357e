import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FulfillmentCenter } from "../../../operator/api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../../../operator/api/names.ts";
import { CELL_KINDS } from "../../../operator/stores.ts";
import { newCenter } from "../../../operator/testing/center.ts";
import {
  connectTestCluster,
  must,
  type TestCluster,
  uniqueName,
  until,
} from "../../../operator/testing/cluster.ts";
import { startTestOperator } from "../../../operator/testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "../../../operator/testing/runtime.ts";
import { KINDS } from "../../../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../../../platform/kube/objects.ts";
import { toYaml } from "../../../platform/yaml.ts";
import type { CenterPlan } from "../plan.ts";
import { linkPlugin, runPlugin } from "./running.ts";

/** One center's name, an operator that follows it, and the plugin on PATH. */
export interface PluginWorld {
  readonly cluster: TestCluster;
  readonly runtime: CellRuntime;
  /** Folder with the plugin, and for files of the test. */
  readonly dir: string;
  readonly name: string;
  readonly region: string;
  /** Class of the volumes that the center's claims bind to, and that may grow. */
  readonly storageClassName: string;
  close(): Promise<void>;
}

/** The operator's environment as its Deployment says it: the same that the test operator runs with. */
const ENVIRONMENT = {
  CELL_IMAGE: "registry.example/cell:1",
  POSTGRES_IMAGE: "registry.example/postgres:17",
  REDIS_IMAGE: "registry.example/redis:8",
  KAFKA_BROKERS: "kafka.fulfillment-cells.svc:9092",
  KAFKA_REPLICAS: "1",
  PSP_URL: "http://psp-sandbox.fulfillment-cells.svc:8090",
  PSP_NAMESPACE: "fulfillment-cells",
  GATEWAY_NAMESPACE: "fulfillment-cells",
};
const CLAIMS = ["data-database-0", "data-cache-0"];
const clusterWide = (group: string, plural: string, kind: string) => ({
  ...{ group, version: "v1", plural, kind, namespaced: false },
});
const STORAGE_CLASS = clusterWide("storage.k8s.io", "storageclasses", "StorageClass");
const VOLUME = clusterWide("", "persistentvolumes", "PersistentVolume");

/** Starts everything but the center itself. */
export async function startPluginWorld(): Promise<PluginWorld> {
  const cluster = await connectTestCluster();
  const runtime = startCellRuntime(cluster.client);
  const operator = await startTestOperator(cluster);
  const world: PluginWorld = {
    ...{ cluster, runtime, dir: mkdtempSync(join(tmpdir(), "kubectl-cell-")) },
    ...{ name: uniqueName("it"), region: uniqueName("region"), storageClassName: uniqueName("growing") },
    async close() {
      await operator.stop();
      await runtime.stop();
      await leave(world);
      await cluster.close();
      rmSync(world.dir, { recursive: true, force: true });
    },
  };
  linkPlugin(world.dir);
  must(await cluster.client.create(KINDS.deployment, operatorDeployment(cluster.namespace)));
  await makeVolumes(world);
  return world;
}

async function leave({ cluster: { client }, name, region, storageClassName }: PluginWorld): Promise<void> {
  await client.remove(FULFILLMENT_CENTER, { name });
  await client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } });
  await client.remove(KINDS.namespace, { name: `cell-${name}` });
  await client.remove(ROUTING_TABLE, { name: region });
  for (const claim of CLAIMS) await client.remove(VOLUME, { name: `${claim}-${name}` });
  await client.remove(STORAGE_CLASS, { name: storageClassName });
}

function operatorDeployment(namespace: string): KubeObject {
  const labels = { "app.kubernetes.io/name": "fulfillment-cells" };
  const env = Object.entries(ENVIRONMENT).map(([key, value]) => ({ name: key, value }));
  const container = { name: "operator", image: "none", args: ["operator/main.ts"], env };
  return {
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "operator", namespace, labels } },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
}

/** Volumes for the claims: there is no provisioner here. */
async function makeVolumes({ cluster: { client }, name, storageClassName }: PluginWorld): Promise<void> {
  must(
    await client.create(STORAGE_CLASS, {
      ...{ apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: storageClassName } },
      ...{ provisioner: "kubernetes.io/no-provisioner", allowVolumeExpansion: true },
    }),
  );
  for (const claim of CLAIMS)
    must(
      await client.create(VOLUME, {
        ...{ apiVersion: "v1", kind: "PersistentVolume", metadata: { name: `${claim}-${name}` } },
        spec: {
          storageClassName,
          capacity: { storage: "4Gi" },
          accessModes: ["ReadWriteOnce"],
          hostPath: { path: "/nowhere" },
          claimRef: { namespace: `cell-${name}`, name: claim },
        },
      }),
    );
}

/** The file of the center; `spec` goes over the smallest one. */
export function manifestOf(world: PluginWorld, spec: Record<string, unknown> = {}, storage = "1Gi"): string {
  const { name, region, storageClassName } = world;
  const database = { engine: "PostgreSQL", storage, storageClassName } as const;
  return toYaml(newCenter(name, region, { database, ...spec }));
}

export async function readCenter({ cluster, name }: PluginWorld): Promise<FulfillmentCenter | undefined> {
  const found = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return found.ok ? found.value : undefined;
}

/** The only plan that `kubectl cell plan -f` makes of a text. */
export async function planned(world: PluginWorld, text: string): Promise<CenterPlan> {
  const at = ["--operator-namespace", world.cluster.namespace];
  const { code, out, err } = await runPlugin(world.dir, ["plan", "-f", "-", "-o", "json", ...at], text);
  const [plan] = code === 0 ? (JSON.parse(out) as { plans: CenterPlan[] }).plans : [];
  if (plan === undefined) throw new Error(err);
  return plan;
}

/** Waits until the center is Ready by its present spec, and nothing in its cell moves any more. */
export async function settled(world: PluginWorld): Promise<void> {
  await until(`${world.name} is Ready`, async () => {
    const fc = await readCenter(world);
    const ready = findCondition(fc?.status?.conditions, "Ready");
    return ready?.status === "True" && ready.observedGeneration === fc?.metadata.generation;
  }).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify((await readCenter(world))?.status)}`);
  });
  // What is superseded is pruned after the center is Ready: two looks a moment apart then find the same.
  let last = "";
  await until("nothing moves any more", async () => {
    const now = JSON.stringify([...(await snapshotOf(world))]);
    const same = now === last;
    last = now;
    if (!same) await new Promise((resolve) => setTimeout(resolve, 700));
    return same;
  });
}

/** Spec or data of every object of the cell, by kind and name. */
export async function snapshotOf({ cluster, name }: PluginWorld): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const kinds = [...CELL_KINDS, KINDS.persistentVolumeClaim];
  const lists = await Promise.all(
    kinds.map((ref) => cluster.client.list(ref, { namespace: `cell-${name}` })),
  );
  for (const list of lists)
    for (const { kind, metadata, spec, data } of must(list).items)
      if (metadata.labels?.["app.kubernetes.io/managed-by"] === "fulfillment-cells")
        found.set(`${kind}/${metadata.name}`, JSON.stringify([spec, data]));
  return found;
}
