import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";
import { type Layout, POD_RANGE } from "./layout.ts";

const CNI_PROGRAMS = "/usr/lib/cni";

/** The text of containerd's configuration (version 2 of its format). */
export function containerdConfig(layout: Layout, sandboxImage: string): string {
  return `version = 2
root = "${join(layout.dataDir, "containerd")}"
state = "${join(layout.runDir, "containerd")}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "${layout.containerdSocket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${sandboxImage}"
  # A machine without CAP_SYS_RESOURCE may not lower the score of a pod; the runtime would die instead.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  max_concurrent_downloads = 1

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PROGRAMS}"
    conf_dir = "${cniConfDir(layout)}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

function cniConfDir(layout: Layout): string {
  return join(layout.dataDir, "cni");
}

/**
 * How a pod is wired: a pair of virtual cards between the pod and the node, and nothing else, so that each
 * packet between two pods is routed by the node and can be filtered there.
 */
export function cniConfig(layout: Layout): string {
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: POD_RANGE }]],
    routes: [{ dst: "0.0.0.0/0" }],
    dataDir: join(layout.runDir, "cni-addresses"),
  };
  const plugins = [
    { type: "ptp", ipMasq: false, mtu: 1500, ipam },
    { type: "portmap", capabilities: { portMappings: true } },
  ];
  return `${JSON.stringify({ cniVersion: "0.4.0", name: "cells", plugins }, null, 2)}\n`;
}

/** Writes the configuration files. @returns the words that start containerd */
export function prepareContainerd(layout: Layout, sandboxImage: string): string[] {
  mkdirSync(cniConfDir(layout), { recursive: true });
  mkdirSync(join(layout.runDir, "tmp"), { recursive: true });
  writeFileSync(join(cniConfDir(layout), "10-cells.conflist"), cniConfig(layout));
  const file = join(layout.dataDir, "containerd.toml");
  writeFileSync(file, containerdConfig(layout, sandboxImage));
  return ["containerd", "--config", file, "--log-level", "warn"];
}

/** The words of containerd's own command line client, in the namespace in which the kubelet looks for images. */
export function ctr(layout: Layout): string[] {
  return ["ctr", "--address", layout.containerdSocket, "--namespace", "k8s.io"];
}

/** Tells an archive from another one that was written to the same path since. */
export function archiveIdentity(path: string): string {
  const { mtimeMs, size } = statSync(path);
  return `${path} ${size} ${Math.trunc(mtimeMs)}`;
}

/** Loads an image archive (docker-archive) into the cluster. */
export async function importArchive(layout: Layout, path: string): Promise<void> {
  await run([...ctr(layout), "images", "import", path], { timeoutMs: 5 * 60_000 });
}
