import { existsSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupMembers, cgroupMounts, removeCgroup } from "./cgroup.ts";
import { ClusterError } from "./errors.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { withLock } from "./lock.ts";
import { disconnectNamespace, MOUNT_POINTS } from "./namespace.ts";
import { isAlive, signalProcess } from "./process.ts";
import { readState } from "./state.ts";

const KILL_BOUND_MS = 30_000;
const REMOVE_BOUND_MS = 30_000;

/** Path of the lock that is held while a cluster is started or removed. */
export function lockPath(layout: Layout): string {
  return `${layout.runDir}.lock`;
}

/** Removes the cluster of an index: its processes, network, mounts, groups and folders. Nothing to do is no error. */
export async function stopCluster(index: number): Promise<void> {
  const layout = layoutOf(index);
  await withLock(lockPath(layout), `cluster ${index}`, 120_000, () => removeCluster(layout));
  for (const dir of [dirname(layout.runDir), dirname(layout.dataDir), ...MOUNT_POINTS]) removeWhenEmpty(dir);
}

/**
 * Removes everything that belongs to an index. The namespaces, and with them every mount, packet filter rule and
 * virtual card, go with their last process; what is left to remove are folders and empty groups.
 * @param keepLogs leaves the logs of a failed start where its message says they are
 */
export async function removeCluster(layout: Layout, keepLogs = false): Promise<void> {
  await killMembers(layout);
  await disconnectNamespace(layout);
  await removeGroups(layout);
  rmSync(layout.runDir, { recursive: true, force: true });
  if (keepLogs && existsSync(layout.logsDir)) return;
  rmSync(layout.dataDir, { recursive: true, force: true });
}

async function killMembers(layout: Layout): Promise<void> {
  const mounts = cgroupMounts();
  const recorded = readState(layout.stateFile)?.processes ?? [];
  const deadline = performance.now() + KILL_BOUND_MS;
  for (;;) {
    const members = mounts === undefined ? [] : cgroupMembers(mounts, layout.cgroup);
    const alive = recorded.filter(isAlive);
    if (members.length === 0 && alive.length === 0) return;
    for (const pid of members) kill(pid);
    for (const record of alive) signalProcess(record, "SIGKILL");
    if (performance.now() > deadline) {
      const pids = [...members, ...alive.map((record) => record.pid)].join(", ");
      throw new ClusterError(
        "not-removed",
        `Processes ${pids} of cluster ${layout.index} do not end: see /proc/<pid>/stack, then run again.`,
      );
    }
    await sleep(50);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The kernel may need a moment after the last member's end before a group can be removed. */
async function removeGroups(layout: Layout): Promise<void> {
  const mounts = cgroupMounts();
  if (mounts === undefined) return;
  const deadline = performance.now() + REMOVE_BOUND_MS;
  let left = removeCgroup(mounts, layout.cgroup);
  while (left.length > 0 && performance.now() < deadline) {
    await sleep(50);
    left = removeCgroup(mounts, layout.cgroup);
  }
  if (left.length === 0) return;
  throw new ClusterError(
    "not-removed",
    `The control groups ${left.join(", ")} can not be removed: see which processes are in them.`,
  );
}

function removeWhenEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // Another cluster still has its folder there, or there is none.
  }
}
