import { join } from "node:path";
import { dataDir, runDir } from "../setup/paths.ts";
import { ClusterError } from "./errors.ts";

/**
 * Addresses come from 198.18.0.0/15, the range that RFC 2544 sets aside for benchmarks and that is never routed.
 * Service and pod ranges are the same in every cluster: they exist only inside its network namespace.
 */
export const SERVICE_RANGE = "198.19.0.0/17";
export const POD_RANGE = "198.19.128.0/17";
export const API_SERVICE_ADDRESS = "198.19.0.1";
export const DNS_SERVICE_ADDRESS = "198.19.0.10";
export const CLUSTER_DOMAIN = "cluster.local";
export const API_PORT = 6443;

/** Four addresses per index and one octet of them. */
export const MAX_INDEX = 63;

/** Every name, address and folder that belongs to the cluster of one index, and to no other. */
export interface Layout {
  readonly index: number;
  /** Address of the machine on the link to the node. */
  readonly hostAddress: string;
  /** Address of the node: the API server and node ports answer here. */
  readonly nodeAddress: string;
  readonly nodeName: string;
  /** Name of the machine's end of the link. */
  readonly hostDevice: string;
  /** Name of the cgroup, below the root of each hierarchy, that holds every process of the cluster. */
  readonly cgroup: string;
  readonly apiUrl: string;
  /** Folder of sockets and the state file; gone after a reboot. */
  readonly runDir: string;
  /** Folder of etcd, images, volumes and logs. */
  readonly dataDir: string;
  readonly certsDir: string;
  readonly logsDir: string;
  readonly volumesDir: string;
  readonly stateFile: string;
  readonly containerdSocket: string;
  readonly kubeconfigPath: string;
  readonly auditLogPath: string;
}

/**
 * Environment for kubectl and helm: which cluster, and that no proxy stands between (the addresses exist only on this
 * machine).
 */
export function toolEnv(layout: Layout, base: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const direct = [base.NO_PROXY ?? base.no_proxy, layout.nodeAddress].filter(Boolean).join(",");
  return { ...base, KUBECONFIG: layout.kubeconfigPath, NO_PROXY: direct, no_proxy: direct };
}

/** The layout of one cluster: 0 is the demo's, 1 the tests', others are free to use. */
export function layoutOf(index: number): Layout {
  if (!Number.isInteger(index) || index < 0 || index > MAX_INDEX) {
    throw new ClusterError(
      "bad-index",
      `Cluster index ${index} does not exist: use a whole number from 0 to ${MAX_INDEX}.`,
    );
  }
  const run = runDir(index);
  const data = dataDir(index);
  const nodeAddress = `198.18.0.${4 * index + 2}`;
  return {
    index,
    hostAddress: `198.18.0.${4 * index + 1}`,
    nodeAddress,
    nodeName: `local-${index}`,
    hostDevice: `fcells${index}`,
    cgroup: `fulfillment-cells-${index}`,
    apiUrl: `https://${nodeAddress}:${API_PORT}`,
    runDir: run,
    dataDir: data,
    certsDir: join(data, "certs"),
    logsDir: join(data, "logs"),
    volumesDir: join(data, "volumes"),
    stateFile: join(run, "state.json"),
    containerdSocket: join(run, "containerd.sock"),
    kubeconfigPath: join(data, "certs", "admin.kubeconfig"),
    auditLogPath: join(data, "logs", "audit.log"),
  };
}
