import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureProgram, type GoModule } from "../../local/cluster/binaries.ts";
import { type ProcessRecord, startProcess } from "../../local/cluster/process.ts";
import type { Report } from "../../local/cluster/report.ts";
import type { KubeClient } from "../../platform/kube/client.ts";
import type { KubeObject, ResourceRef } from "../../platform/kube/objects.ts";
import { must } from "./must.ts";

const KWOK: GoModule = {
  name: "kwok",
  source: fileURLToPath(new URL("../go/kwok", import.meta.url)),
  variables: () => ({}),
  links: [],
  title: "Build kwok",
  why: "it answers for nodes and pods that do not exist; once per machine, 1 to 3 minutes on 2 cores",
};

const NODE: ResourceRef = { group: "", version: "v1", plural: "nodes", kind: "Node", namespaced: false };
const STORAGE_CLASS: ResourceRef = {
  group: "storage.k8s.io",
  version: "v1",
  plural: "storageclasses",
  kind: "StorageClass",
  namespaced: false,
};
const PODS_PER_NODE = 500;

/** Path of the kwok program, built when it is not there. */
export function ensureKwok(report: Report, signal?: AbortSignal): Promise<string> {
  return ensureProgram(KWOK, report, signal);
}

/** Starts kwok over an API server and gives it as many nodes as the pods of `centers` centers need. */
export async function startKwok(options: {
  readonly program: string;
  readonly kubeconfigPath: string;
  readonly client: KubeClient;
  readonly dir: string;
  readonly centers: number;
  readonly podsPerCenter: number;
}): Promise<ProcessRecord> {
  const { client } = options;
  must(
    await client.create(STORAGE_CLASS, {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "bench", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      provisioner: "kwok.x-k8s.io/volume",
      reclaimPolicy: "Retain",
      volumeBindingMode: "Immediate",
    } as KubeObject),
  );
  const nodes = Math.max(4, Math.ceil((options.centers * options.podsPerCenter) / PODS_PER_NODE));
  for (let index = 0; index < nodes; index++) {
    const name = `node-${index}`;
    must(
      await client.create(NODE, {
        apiVersion: "v1",
        kind: "Node",
        metadata: { name, labels: { "kubernetes.io/hostname": name } },
      }),
    );
  }
  return startProcess({
    name: "kwok",
    // What it stands for runs on other machines. Short of time it reads its watch too slowly, has it closed by the API server, begins
    // again with every pod there is, and is slower for that.
    argv: [
      ...["nice", "-n", "-10"],
      options.program,
      "--kubeconfig",
      options.kubeconfigPath,
      "--config",
      fileURLToPath(new URL("stages.yaml", import.meta.url)),
      "--manage-all-nodes=true",
      "--node-lease-duration-seconds=200",
      "--server-address=127.0.0.1:0",
    ],
    env: { GOGC: "300" },
    logPath: join(options.dir, "logs", "kwok.log"),
  });
}
