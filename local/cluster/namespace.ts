import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run, tryRun } from "./command.ts";
import { ClusterError } from "./errors.ts";
import { type Layout, POD_RANGE, SERVICE_RANGE } from "./layout.ts";
import { type ProcessRecord, startProcess } from "./process.ts";
import { waitUntil } from "./wait.ts";

/**
 * Folders whose paths are fixed in the kubelet. Each cluster sees its own folder there, so that two kubelets do
 * not delete each other's sockets and nothing of them stays on the machine.
 */
const FIXED_FOLDERS: readonly (readonly [path: string, name: string])[] = [
  ["/var/lib/kubelet", "kubelet-fixed"],
  ["/var/log/pods", "pod-logs"],
  ["/var/log/containers", "container-logs"],
];

/** The same folders as the machine has them: empty, there to be mounted on. */
export const MOUNT_POINTS: readonly string[] = FIXED_FOLDERS.map(([path]) => path);

/**
 * Starts the process that holds the network and mount namespaces of a cluster. They live as long as a process is in
 * them: when all are killed, the kernel removes the link, the rules and the mounts by itself.
 */
export async function startNamespace(layout: Layout, joinFiles: readonly string[]): Promise<ProcessRecord> {
  const readyFile = join(layout.runDir, "namespace-ready");
  rmSync(readyFile, { force: true });
  const binds = FIXED_FOLDERS.map(([path, name]) => {
    const own = join(layout.dataDir, name);
    mkdirSync(own, { recursive: true });
    mkdirSync(path, { recursive: true });
    return `mount --bind ${own} ${path}`;
  });
  const script = [
    // The kubelet wants shared mounts; "slave" above keeps them from reaching the machine.
    ...["set -e", "mount --make-rshared /", ...binds],
    // Loopback is needed by etcd and the probes; forwarding makes the node a router between its pods.
    ...["ip link set lo up", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
    // Without a route the kernel refuses a service address before kube-proxy's rules see it.
    ...["ip link add svc0 type bridge", "ip link set svc0 up"],
    ...[`: > ${readyFile}`, "exec sleep infinity"],
  ].join("\n");
  const argv = ["unshare", "--net", "--mount", "--propagation", "slave", "--", "/bin/sh", "-c", script];
  const record = await startProcess({
    name: "namespace",
    argv,
    joinFiles,
    logPath: join(layout.logsDir, "namespace.log"),
  });
  await waitUntil({
    what: "Making the network namespace",
    boundMs: 20_000,
    everyMs: 20,
    needs: [record],
    check: async () => (await tryRun(["test", "-e", readyFile])).exitCode === 0,
  });
  return record;
}

/** The words that run a program inside the namespaces. */
export function inside(holder: ProcessRecord): string[] {
  // Not `ip netns exec`: that mounts a new /sys, without the cgroups.
  return ["nsenter", "--target", String(holder.pid), "--net", "--mount", "--"];
}

/** Joins the namespace and the machine with a pair of virtual cards, and routes the service addresses inside. */
export async function connectNamespace(layout: Layout, holder: ProcessRecord): Promise<void> {
  const { hostDevice, hostAddress, nodeAddress } = layout;
  const enter = inside(holder);
  await run([
    "ip",
    "link",
    "add",
    hostDevice,
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    String(holder.pid),
  ]);
  await run(["ip", "address", "add", `${hostAddress}/30`, "dev", hostDevice]);
  await run(["ip", "link", "set", hostDevice, "up"]);
  await run([...enter, "ip", "address", "add", `${nodeAddress}/30`, "dev", "eth0"]);
  await run([...enter, "ip", "link", "set", "eth0", "up"]);
  await run([...enter, "ip", "route", "replace", SERVICE_RANGE, "dev", "svc0", "src", nodeAddress]);
  // The machine has no route back to a pod: its answer would leave by the default route.
  const fromPods = ["--source", POD_RANGE, "--out-interface", "eth0"];
  await run([...enter, "iptables", "-t", "nat", "-A", "POSTROUTING", ...fromPods, "-j", "MASQUERADE"]);
}

interface AddressLine {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

/** Refuses to start where something else has the device or the addresses. Called after the own leftovers are gone. */
export async function checkAddressesFree(layout: Layout): Promise<void> {
  const lines = JSON.parse(await run(["ip", "-json", "address", "show"])) as AddressLine[];
  const advice = "remove it, or start the cluster with another --index";
  for (const line of lines) {
    if (line.ifname === layout.hostDevice) {
      throw new ClusterError(
        "address-taken",
        `A network device ${line.ifname} exists that no cluster of ours made: ${advice}.`,
      );
    }
    for (const { local } of line.addr_info) {
      if (local === layout.hostAddress || local === layout.nodeAddress) {
        throw new ClusterError(
          "address-taken",
          `The address ${local} is in use on device ${line.ifname}: ${advice}.`,
        );
      }
    }
  }
  const routes = JSON.parse(await run(["ip", "-json", "route", "show"])) as { dst: string; dev?: string }[];
  const taken = routes.find((route) => route.dst !== "default" && covers(route.dst, layout.nodeAddress));
  if (taken === undefined) return;
  throw new ClusterError(
    "address-taken",
    `A route to ${taken.dst} over ${taken.dev ?? "?"} covers ${layout.nodeAddress}: ${advice}.`,
  );
}

/** True when an IPv4 range ("10.0.0.0/8", or one address) holds an address. */
export function covers(range: string, address: string): boolean {
  const [base = "", length = "32"] = range.split("/");
  const shift = 2 ** (32 - Number(length));
  return Math.floor(toNumber(base) / shift) === Math.floor(toNumber(address) / shift);
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** Removes the machine's end of the link; the kernel has done so already when the namespace is gone. */
export async function disconnectNamespace(layout: Layout): Promise<void> {
  if ((await tryRun(["ip", "link", "show", layout.hostDevice])).exitCode !== 0) return;
  await tryRun(["ip", "link", "delete", layout.hostDevice]);
}
