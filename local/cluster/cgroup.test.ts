import { describe, expect, it } from "vitest";
import { parseCgroupMounts } from "./cgroup.ts";

describe("parseCgroupMounts", () => {
  it("finds one hierarchy per controller, and the empty second version beside them", () => {
    const mounts = [
      "tmpfs /sys/fs/cgroup tmpfs rw 0 0",
      "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0",
      "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0",
      "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
    ].join("\n");
    expect(parseCgroupMounts(mounts)).toEqual({
      version: 1,
      roots: ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids"],
      allRoots: ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"],
      census: "/sys/fs/cgroup/pids",
    });
  });

  it("finds the single hierarchy of version 2", () => {
    const root = "/sys/fs/cgroup";
    expect(parseCgroupMounts(`cgroup2 ${root} cgroup2 rw,nosuid 0 0`)).toEqual({
      version: 2,
      roots: [root],
      allRoots: [root],
      census: root,
    });
  });

  it("does not take a hierarchy whose name only contains the word for the one that counts processes", () => {
    const mounts =
      "cgroup /sys/fs/cgroup/rapids cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0";
    expect(parseCgroupMounts(mounts)?.census).toBe("/sys/fs/cgroup/unified");
  });

  it("finds nothing where nothing is mounted", () => {
    expect(parseCgroupMounts("proc /proc proc rw 0 0\n")).toBeUndefined();
  });
});
