import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How this machine's control groups are mounted. */
export interface CgroupMounts {
  readonly version: 1 | 2;
  /** Roots of the hierarchies with controllers: one for version 2, one per controller for version 1. */
  readonly roots: readonly string[];
  /** All roots: a machine with version 1 often has an empty version 2 beside it, and runtimes make groups there too. */
  readonly allRoots: readonly string[];
  /** The hierarchy in which the members of a cluster are counted: every process is in each hierarchy exactly once. */
  readonly census: string;
}

/** Reads the mounts from the text of /proc/mounts; undefined when there is no usable hierarchy. */
export function parseCgroupMounts(mounts: string): CgroupMounts | undefined {
  const lines = mounts.split("\n").map((line) => line.split(" "));
  const ones = lines.filter((line) => line[2] === "cgroup").map((line) => line[1] ?? "");
  const twos = lines.filter((line) => line[2] === "cgroup2").map((line) => line[1] ?? "");
  const allRoots = [...new Set([...ones, ...twos])];
  const pids = ones.find((root) => root.split("/").at(-1)?.split(",").includes("pids"));
  if (pids !== undefined) return { version: 1, roots: [...new Set(ones)], allRoots, census: pids };
  const two = twos[0];
  return two === undefined ? undefined : { version: 2, roots: [two], allRoots, census: two };
}

/** The mounts of this machine. */
export function cgroupMounts(): CgroupMounts | undefined {
  return parseCgroupMounts(readFileSync("/proc/mounts", "utf8"));
}

/**
 * Makes the group of a cluster in every hierarchy, and below it `system` for the processes of the node itself.
 * @returns the files to which such a process writes its pid to join
 */
export function createCgroup(mounts: CgroupMounts, name: string): string[] {
  for (const root of mounts.roots) {
    mkdirSync(join(root, name), { recursive: true });
    // Version 1 gives a new cpuset no cpus, and a group without cpus can hold no process.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const parent = join(root, file);
      if (mounts.version === 1 && existsSync(parent))
        writeFileSync(join(root, name, file), readFileSync(parent));
    }
    if (mounts.version === 2) enableControllers(root);
    if (mounts.version === 2) enableControllers(join(root, name));
    weigh(join(root, name));
  }
  const system = join(mounts.census, name, "system");
  mkdirSync(system, { recursive: true });
  return [join(system, "cgroup.procs")];
}

/** Else all pods together weigh as much as a single process beside them, and starve on a machine that is busy. */
function weigh(group: string): void {
  for (const [file, weight] of [
    ["cpu.shares", "10240"],
    ["cpu.weight", "1000"],
  ] as const)
    if (existsSync(join(group, file))) writeFileSync(join(group, file), weight);
}

function enableControllers(group: string): void {
  for (const controller of readFileSync(join(group, "cgroup.controllers"), "utf8").trim().split(" ")) {
    try {
      writeFileSync(join(group, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // The kubelet names the ones it can not do without; the others are no loss.
    }
  }
}

/** Every process in the group of a cluster, its pods included. */
export function cgroupMembers(mounts: CgroupMounts, name: string): number[] {
  return groupsBelow(join(mounts.census, name)).flatMap((group) => {
    try {
      return readFileSync(join(group, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

/** Removes the group from every hierarchy. @returns the folders that are still there, because they have members */
export function removeCgroup(mounts: CgroupMounts, name: string): string[] {
  const left: string[] = [];
  for (const root of mounts.allRoots) {
    for (const group of groupsBelow(join(root, name)).reverse()) {
      try {
        rmdirSync(group);
      } catch {
        if (existsSync(group)) left.push(group);
      }
    }
  }
  return left;
}

/** The group and all groups below it, parents first. */
function groupsBelow(group: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(group, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
  return [group, ...entries.flatMap((entry) => groupsBelow(join(group, entry)))];
}
