import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BuiltImage } from "../images/archive.ts";
import { ensureProbe } from "./binaries.ts";
import { cgroupMounts } from "./cgroup.ts";
import type { Cluster } from "./cluster.ts";
import { run, tryRun } from "./command.ts";
import { programImage } from "./images.ts";
import { layoutOf } from "./layout.ts";
import { startTicksOf } from "./process.ts";
import type { Report } from "./report.ts";

export const PROBE_NAMESPACE = "probe";
export const PROBE_NODE_PORT = 30080;

/** The image whose pods tell what they see. */
export async function probeImage(report: Report): Promise<BuiltImage> {
  return programImage(await ensureProbe(report));
}

/** kubectl against a cluster. @returns what it printed */
export function kubectl(cluster: Cluster, words: readonly string[], input?: string): Promise<string> {
  const argv = [cluster.kubectlPath, ...words];
  return run(argv, { timeoutMs: 120_000, env: cluster.toolEnv, ...(input === undefined ? {} : { input }) });
}

/** Two pods with a shared volume behind a service with a node port, in a namespace that allows nothing special. */
export function probeObjects(image: string): object {
  const labels = { app: "probe" };
  const meta = { name: "probe", namespace: PROBE_NAMESPACE };
  const enforce = { "pod-security.kubernetes.io/enforce": "restricted" };
  return {
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: PROBE_NAMESPACE, labels: enforce } },
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: meta,
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "16Mi" } } },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: meta,
        spec: {
          type: "NodePort",
          selector: labels,
          ports: [{ port: 80, targetPort: 8080, nodePort: PROBE_NODE_PORT }],
        },
      },
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: meta,
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: probePod(image) },
        },
      },
    ],
  };
}

function probePod(image: string): object {
  return {
    securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: "RuntimeDefault" } },
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: "probe",
        image,
        imagePullPolicy: "Never",
        env: [{ name: "PROBE_DIR", value: "/data" }],
        readinessProbe: { httpGet: { path: "/name", port: 8080 }, periodSeconds: 1 },
        resources: { limits: { memory: "64Mi" } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        volumeMounts: [{ name: "data", mountPath: "/data" }],
      },
    ],
    volumes: [{ name: "data", persistentVolumeClaim: { claimName: "probe" } }],
  };
}

/** Starts the probe and waits until its service answers: a rollout ends before every rule is in place. */
export async function deployProbe(cluster: Cluster, image: string): Promise<void> {
  await kubectl(cluster, ["apply", "-f", "-"], JSON.stringify(probeObjects(image)));
  await kubectl(cluster, ["-n", PROBE_NAMESPACE, "rollout", "status", "deployment/probe", "--timeout=90s"]);
  await eventually(() => ask(cluster, "/name"));
}

/** Asks the probe over its node port. @returns the body; an answer other than 200 throws with its body */
export async function ask(cluster: Cluster, path: string, init: RequestInit = {}): Promise<string> {
  const headers = { connection: "close" };
  const url = `http://${cluster.nodeAddress}:${PROBE_NODE_PORT}${path}`;
  const answer = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(10_000) });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${body}`);
  return body;
}

/** Repeats until it does not throw; after the bound the last error is thrown. */
export async function eventually<T>(attempt: () => Promise<T>, boundMs = 60_000): Promise<T> {
  const deadline = performance.now() + boundMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

/** What a cluster could leave on the machine. */
export async function machineTraces(index: number): Promise<Record<string, string[]>> {
  const layout = layoutOf(index);
  const lines = async (argv: readonly string[]): Promise<string[]> =>
    (await tryRun(argv)).stdout
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .sort();
  const roots = cgroupMounts()?.allRoots ?? [];
  const folders = [
    layout.runDir,
    layout.dataDir,
    `${layout.runDir}.lock`,
    "/var/lib/kubelet",
    "/var/log/pods",
  ];
  return {
    mounts: readFileSync("/proc/mounts", "utf8").trim().split("\n").sort(),
    devices: (await lines(["ip", "-brief", "link"])).map((line) => line.split(/[\s@]/)[0] ?? ""),
    addresses: await lines(["ip", "-brief", "address"]),
    routes: await lines(["ip", "route"]),
    namespaces: existsSync("/run/netns") ? readdirSync("/run/netns") : [],
    // Counters change with every packet.
    rules: (await lines(["iptables-save"])).map((line) => line.replace(/\[\d+:\d+\]/, "")),
    groups: roots.map((root) => join(root, layout.cgroup)).filter(existsSync),
    folders: folders.filter(existsSync),
    processes: processesOf(layout.dataDir, layout.cgroup),
  };
}

/** Processes that name the folder of a cluster, or are in its group, whoever started them. */
function processesOf(folder: string, cgroup: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    // One that has ended and waits to be collected by process 1 is no longer running.
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid || startTicksOf(Number(pid)) === undefined)
      return false;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
      return words.includes(`${folder}/`) || groups.includes(`/${cgroup}/`);
    } catch {
      return false;
    }
  });
}
