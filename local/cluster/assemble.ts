import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dnsObjects, netpolicyRights, storageObjects } from "./addons.ts";
import { type Api, createApi } from "./api.ts";
import { waitForApi } from "./apiserver.ts";
import type { Binaries } from "./binaries.ts";
import { makeCertificates } from "./certificates.ts";
import { cgroupMounts, createCgroup } from "./cgroup.ts";
import {
  AUDIT_POLICY,
  apiServerArgv,
  type ControlPlane,
  controllerManagerArgv,
  etcdArgv,
  schedulerArgv,
  serverAddresses,
} from "./components.ts";
import { archiveIdentity, importArchive, prepareContainerd } from "./containerd.ts";
import { ClusterError, interrupted } from "./errors.ts";
import { programImage } from "./images.ts";
import { API_PORT, type Layout } from "./layout.ts";
import { checkAddressesFree, connectNamespace, inside, startNamespace } from "./namespace.ts";
import { kubeProxyArgv, netpolicyArgv, prepareKubelet, provisionerArgv } from "./node.ts";
import { type ProcessRecord, startProcess } from "./process.ts";
import { deploymentIsAvailable, nodeIsReady } from "./readiness.ts";
import type { Report } from "./report.ts";
import { writeState } from "./state.ts";
import { waitUntil } from "./wait.ts";

export interface AssembleOptions {
  readonly layout: Layout;
  readonly binaries: Binaries;
  readonly report: Report;
  readonly images: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly pauseImage?: string;
}

const NODE_BOUND_MS = 180_000;
const DNS_BOUND_MS = 180_000;

/** What is running so far; each new process is written down before anything else happens. */
interface Assembly {
  readonly options: AssembleOptions;
  readonly joinFiles: readonly string[];
  readonly processes: ProcessRecord[];
  readonly imported: string[];
  holder: ProcessRecord;
}

/** Builds a cluster from nothing. Nothing of it may exist; whoever calls removes what is left when it throws. */
export async function assembleCluster(options: AssembleOptions): Promise<void> {
  const { layout, binaries, report } = options;
  await checkAddressesFree(layout);
  const assembly = await report.step(
    "Make the network",
    "a namespace for the node, linked to this machine",
    () => makeNetwork(options),
  );
  const dns = await programImage(binaries.coredns);
  const pause = options.pauseImage === undefined ? await programImage(binaries.pause) : undefined;
  const sandboxImage = options.pauseImage ?? pause?.ref ?? "";
  const first = [dns.archive, ...(pause === undefined ? [] : [pause.archive])];
  // The processor is busy with one while the disk is busy with the other.
  const [api] = await together(
    report.step("Start the control plane", "etcd, API server, controllers, scheduler", () =>
      startControlPlane(assembly),
    ),
    report.step("Load images", "into the container runtime of the node", () =>
      startRuntime(assembly, sandboxImage, first),
    ),
  );
  await report.step("Start the node", "kubelet and kube-proxy, until pods can be placed", () =>
    startNode(assembly, api),
  );
  await report.step("Start DNS and storage", "names of services, volumes for claims", () =>
    startAddons(assembly, api, dns.ref),
  );
  record(assembly, "ready");
}

/** Waits for both also when one fails: nothing may still be starting while the caller cleans up. */
async function together<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === "rejected") throw first.reason;
  if (second.status === "rejected") throw second.reason;
  return [first.value, second.value];
}

function record(assembly: Assembly, phase: "starting" | "ready"): void {
  const { layout, binaries } = assembly.options;
  writeState(layout.stateFile, {
    ...{ phase, kubernetes: binaries.kubernetes, apiUrl: layout.apiUrl },
    ...{ processes: assembly.processes, images: assembly.imported },
  });
}

async function start(
  assembly: Assembly,
  name: string,
  argv: readonly string[],
  env = {},
): Promise<ProcessRecord> {
  const { layout, signal } = assembly.options;
  if (signal?.aborted) throw interrupted();
  const logPath = join(layout.logsDir, `${name}.log`);
  const words = [...inside(assembly.holder), ...argv];
  const started = await startProcess({ name, argv: words, logPath, joinFiles: assembly.joinFiles, env });
  assembly.processes.push(started);
  record(assembly, "starting");
  return started;
}

async function makeNetwork(options: AssembleOptions): Promise<Assembly> {
  const { layout } = options;
  for (const dir of [layout.runDir, layout.dataDir, layout.logsDir]) mkdirSync(dir, { recursive: true });
  const mounts = cgroupMounts();
  if (mounts === undefined) {
    throw new ClusterError(
      "tool-missing",
      "No cgroup hierarchy with the pids controller is mounted: pods can not run on this machine.",
    );
  }
  const joinFiles = createCgroup(mounts, layout.cgroup);
  const holder = await startNamespace(layout, joinFiles);
  const assembly: Assembly = { options, joinFiles, processes: [holder], imported: [], holder };
  record(assembly, "starting");
  await connectNamespace(layout, holder);
  return assembly;
}

async function startControlPlane(assembly: Assembly): Promise<Api> {
  const { layout, binaries } = assembly.options;
  const { kubernetes } = binaries;
  const policyPath = join(layout.dataDir, "audit-policy.yaml");
  writeFileSync(policyPath, AUDIT_POLICY);
  const addresses = serverAddresses(layout.nodeAddress);
  const { certsDir, apiUrl, nodeName } = layout;
  await makeCertificates({ kubernetes, dir: certsDir, apiUrl, nodeName, addresses });
  const plane: ControlPlane = {
    ...{ kubernetes, certsDir, etcdDir: join(layout.dataDir, "etcd"), etcdPort: 2379, etcdPeerPort: 2380 },
    ...{ address: layout.nodeAddress, apiPort: API_PORT, withControllers: true, announced: true },
    audit: { policyPath, logPath: layout.auditLogPath },
  };
  const needs = [
    await start(assembly, "etcd", etcdArgv(plane)),
    await start(assembly, "kube-apiserver", apiServerArgv(plane)),
  ];
  const api = createApi(apiUrl, certsDir);
  await waitForApi(api, needs, assembly.options.signal);
  await start(assembly, "kube-controller-manager", controllerManagerArgv(plane, 10257));
  await start(assembly, "kube-scheduler", schedulerArgv(plane, 10259));
  return api;
}

async function startRuntime(
  assembly: Assembly,
  sandboxImage: string,
  first: readonly string[],
): Promise<void> {
  const { layout, images, signal } = assembly.options;
  const env = { TMPDIR: join(layout.runDir, "tmp") };
  const runtime = await start(assembly, "containerd", prepareContainerd(layout, sandboxImage), env);
  await waitUntil({
    what: "containerd's start",
    boundMs: 60_000,
    signal,
    needs: [runtime],
    check: async () => existsSync(layout.containerdSocket),
  });
  for (const path of [...first, ...images]) {
    if (signal?.aborted) throw interrupted();
    await importArchive(layout, path);
    assembly.imported.push(archiveIdentity(path));
  }
}

async function startNode(assembly: Assembly, api: Api): Promise<void> {
  const { layout, binaries } = assembly.options;
  // Before the kubelet: until it knows a pod's policies it lets nothing through to that pod or out of it.
  await api.apply(netpolicyRights());
  await start(assembly, "netpolicy", netpolicyArgv(layout, binaries.netpolicy));
  await start(assembly, "kubelet", prepareKubelet(layout, binaries.kubernetes));
  await start(assembly, "kube-proxy", kubeProxyArgv(layout, binaries.kubernetes));
  await start(assembly, "local-provisioner", provisionerArgv(layout, binaries.kubernetes));
  await waitUntil({
    what: `Node ${layout.nodeName} becoming Ready`,
    boundMs: NODE_BOUND_MS,
    signal: assembly.options.signal,
    needs: assembly.processes.filter((one) => one.name !== "namespace"),
    check: () => nodeIsReady(api, layout),
  });
}

async function startAddons(assembly: Assembly, api: Api, dnsImage: string): Promise<void> {
  await api.apply([...storageObjects(), ...dnsObjects(dnsImage)]);
  await waitUntil({
    what: "Cluster DNS becoming available",
    boundMs: DNS_BOUND_MS,
    signal: assembly.options.signal,
    needs: assembly.processes.filter((one) =>
      ["kubelet", "containerd", "kube-controller-manager"].includes(one.name),
    ),
    check: () => deploymentIsAvailable(api, "kube-system", "coredns"),
  });
}
