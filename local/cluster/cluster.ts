import { createApi } from "./api.ts";
import { assembleCluster } from "./assemble.ts";
import { type Binaries, ensureBinaries } from "./binaries.ts";
import { archiveIdentity, importArchive } from "./containerd.ts";
import { lockPath, removeCluster, stopCluster } from "./down.ts";
import { type Layout, layoutOf, toolEnv } from "./layout.ts";
import { withLock } from "./lock.ts";
import { isAlive } from "./process.ts";
import { nodeIsReady } from "./readiness.ts";
import type { Report } from "./report.ts";
import { type ClusterState, readState, writeState } from "./state.ts";

export interface ClusterOptions {
  /** 0 is the demo's cluster, 1 the tests'. */
  readonly index: number;
  readonly report: Report;
  /** Image archives (docker-archive files) that pods of this cluster use. */
  readonly images?: readonly string[];
  /** Ends the start when it is aborted, and removes what was started by then. */
  readonly signal?: AbortSignal;
  /** Image of a pod's sandbox, when it is among `images`; else an own one is made. */
  readonly pauseImage?: string;
}

/** A running cluster of one node. It stays when the process that started it ends. */
export interface Cluster {
  readonly index: number;
  readonly kubeconfigPath: string;
  /** The API server and node ports answer here. */
  readonly nodeAddress: string;
  readonly hostAddress: string;
  readonly kubectlPath: string;
  readonly helmPath: string;
  readonly auditLogPath: string;
  /** Environment in which `kubectlPath` and `helmPath` reach this cluster without further words. */
  readonly toolEnv: NodeJS.ProcessEnv;
  /** True when it was up already. */
  readonly attached: boolean;
  /** Loads an image archive; one that was loaded before costs nothing. */
  importImage(path: string): Promise<void>;
  /** Removes the cluster and everything it left on the machine. */
  stop(): Promise<void>;
}

const LOCK_BOUND_MS = 10 * 60_000;

/** Starts the cluster of an index, or attaches to it when it is up and healthy. What a broken run left is removed. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const layout = layoutOf(options.index);
  const binaries = await ensureBinaries(options.report, options.signal);
  return withLock(lockPath(layout), `cluster ${options.index}`, LOCK_BOUND_MS, async () => {
    const attached = await isHealthy(layout, binaries);
    if (!attached) await startAnew(layout, binaries, options);
    const cluster = handle(layout, binaries, attached);
    if (attached) await importMissing(layout, cluster, options);
    return cluster;
  });
}

async function importMissing(layout: Layout, cluster: Cluster, options: ClusterOptions): Promise<void> {
  const known = readState(layout.stateFile)?.images ?? [];
  const missing = (options.images ?? []).filter((path) => !known.includes(archiveIdentity(path)));
  if (missing.length === 0) return;
  await options.report.step("Load images", "those that the cluster does not have yet", async () => {
    for (const path of missing) await cluster.importImage(path);
  });
}

async function startAnew(layout: Layout, binaries: Binaries, options: ClusterOptions): Promise<void> {
  const { report } = options;
  if (readState(layout.stateFile) !== undefined)
    report.note(`remove what an earlier cluster ${layout.index} left`);
  await removeCluster(layout);
  try {
    await assembleCluster({
      ...{ layout, binaries, report, images: options.images ?? [], signal: options.signal },
      ...(options.pauseImage === undefined ? {} : { pauseImage: options.pauseImage }),
    });
  } catch (error) {
    await removeCluster(layout, true);
    throw error;
  }
}

/** True when every process of the cluster runs, from today's executables, and the node takes pods. */
async function isHealthy(layout: Layout, binaries: Binaries): Promise<boolean> {
  const state = readState(layout.stateFile);
  if (state?.phase !== "ready" || state.kubernetes !== binaries.kubernetes) return false;
  if (!state.processes.some(({ argv }) => argv.includes(binaries.netpolicy))) return false;
  return clusterAnswers(layout, state);
}

/** True when every recorded process runs and the API server says that the node is ready. */
export async function clusterAnswers(layout: Layout, state: ClusterState): Promise<boolean> {
  if (!state.processes.every(isAlive)) return false;
  try {
    return await nodeIsReady(createApi(layout.apiUrl, layout.certsDir), layout);
  } catch {
    return false;
  }
}

function handle(layout: Layout, binaries: Binaries, attached: boolean): Cluster {
  return {
    index: layout.index,
    kubeconfigPath: layout.kubeconfigPath,
    nodeAddress: layout.nodeAddress,
    hostAddress: layout.hostAddress,
    kubectlPath: binaries.kubectl,
    helmPath: binaries.helm,
    auditLogPath: layout.auditLogPath,
    toolEnv: toolEnv(layout),
    attached,
    async importImage(path) {
      const archive = archiveIdentity(path);
      if (readState(layout.stateFile)?.images.includes(archive)) return;
      await importArchive(layout, path);
      const state = readState(layout.stateFile);
      if (state === undefined) return;
      writeState(layout.stateFile, { ...state, images: [...new Set([...state.images, archive])] });
    },
    stop: () => stopCluster(layout.index),
  };
}
