import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { cgroupMembers, cgroupMounts } from "./cgroup.ts";
import { clusterAnswers } from "./cluster.ts";
import { layoutOf } from "./layout.ts";
import { isAlive } from "./process.ts";
import { readState } from "./state.ts";

/** How the cluster of an index is: `broken` is one that a later start removes. */
export interface ClusterStatus {
  readonly index: number;
  readonly state: "absent" | "starting" | "ready" | "broken";
  readonly apiUrl: string;
  readonly kubeconfigPath: string;
  /** Every process in the cluster's group, its pods included. */
  readonly processCount: number;
  /** Parts that were started and have ended. */
  readonly stopped: readonly string[];
}

/** Looks at one index without changing anything. */
export async function clusterStatus(index: number): Promise<ClusterStatus> {
  const layout = layoutOf(index);
  const state = readState(layout.stateFile);
  const mounts = cgroupMounts();
  const processCount = mounts === undefined ? 0 : cgroupMembers(mounts, layout.cgroup).length;
  const stopped = (state?.processes ?? []).filter((record) => !isAlive(record)).map((record) => record.name);
  const common = {
    index,
    apiUrl: layout.apiUrl,
    kubeconfigPath: layout.kubeconfigPath,
    processCount,
    stopped,
  };
  if (state === undefined) return { ...common, state: processCount === 0 ? "absent" : "broken" };
  if (state.phase === "starting") return { ...common, state: stopped.length === 0 ? "starting" : "broken" };
  return { ...common, state: (await clusterAnswers(layout, state)) ? "ready" : "broken" };
}

/** Indexes that left a folder on this machine, whatever state they are in. */
export function knownIndexes(): number[] {
  const { runDir, dataDir } = layoutOf(0);
  const names = [runDir, dataDir].flatMap((dir) => {
    try {
      return readdirSync(dirname(dir));
    } catch {
      return [];
    }
  });
  const indexes = names.filter((name) => /^\d{1,2}$/.test(name)).map(Number);
  return [...new Set(indexes)].sort((a, b) => a - b);
}
