import { createApi } from "./api.ts";
import { waitForApi } from "./apiserver.ts";
import { ClusterError } from "./errors.ts";
import { layoutOf } from "./layout.ts";
import { isAlive, type ProcessRecord, startProcess, stopProcess } from "./process.ts";
import { readState, writeState } from "./state.ts";

/** Parts of a cluster that can be taken away and brought back while it runs. */
export type ComponentName =
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kubelet"
  | "kube-proxy"
  | "netpolicy"
  | "containerd"
  | "local-provisioner";

/** Kills one part of a running cluster, as a crash would. Its pods and the other parts go on. */
export async function stopComponent(index: number, name: ComponentName): Promise<void> {
  await stopProcess(find(index, name), 0);
}

/** Starts a part again that was stopped, with the same arguments; waits for the API server if it is that. */
export async function startComponent(index: number, name: ComponentName): Promise<void> {
  const layout = layoutOf(index);
  const old = find(index, name);
  if (isAlive(old)) return;
  const next = await startProcess(old);
  const state = readState(layout.stateFile);
  if (state === undefined) return;
  const processes = state.processes.map((record) => (record.name === name ? next : record));
  writeState(layout.stateFile, { ...state, processes });
  if (name === "kube-apiserver") await waitForApi(createApi(layout.apiUrl, layout.certsDir), [next]);
}

function find(index: number, name: ComponentName): ProcessRecord {
  const records = readState(layoutOf(index).stateFile)?.processes ?? [];
  const record = records.find((one) => one.name === name);
  if (record !== undefined) return record;
  throw new ClusterError(
    "not-running",
    `Cluster ${index} has no ${name}: start it with "npx node local/main.ts up --index ${index}".`,
  );
}
