import { existsSync } from "node:fs";
import { ensureBinaries } from "../cluster/binaries.ts";
import { startCluster } from "../cluster/cluster.ts";
import type { Report } from "../cluster/report.ts";
import { buildImages } from "../images/images.ts";
import { preflight } from "../setup/preflight.ts";
import { ensureSystemPackages } from "../setup/system.ts";
import { pause } from "./api.ts";
import { getObject, type InstallImages, installChart, kubectl, NAMESPACE, type Target } from "./install.ts";

export interface SetupOptions {
  readonly root: string;
  readonly report: Report;
  readonly signal: AbortSignal;
  /** Which local cluster; 0 is the demo's own. */
  readonly index: number;
  readonly kubeconfig: string | undefined;
  readonly images: { readonly cell: string | undefined; readonly stores: string | undefined };
}

export interface Prepared {
  readonly target: Target;
  readonly kubeconfigPath: string;
  readonly images: InstallImages;
}

const REGION_TIMEOUT_MS = 240_000;

/** From whatever is there to a cluster with the chart installed and its region running. */
export async function prepareKubernetes(options: SetupOptions): Promise<Prepared> {
  const prepared =
    options.kubeconfig === undefined
      ? await prepareLocal(options)
      : await prepareGiven(options, options.kubeconfig);
  const { report } = options;
  await installChart(prepared.target, prepared.images, report);
  await report.step(
    "Wait for operator, Kafka and the region",
    "the gateway waits for its key and table",
    () => waitForRegion(prepared.target, report),
  );
  return prepared;
}

async function prepareLocal({ root, report, signal, index }: SetupOptions): Promise<Prepared> {
  const checked = await preflight({ kubernetes: true });
  if (!checked.ok) throw new Error(checked.problems.map(({ message }) => message).join("\n"));
  // The compiler needs the processor, the package installer the network: side by side they cost little more than the longer one.
  const compiling = ensureBinaries(report, signal);
  compiling.catch(() => undefined);
  const installed = await ensureSystemPackages(report, ["stores", "cluster"]);
  if (!installed.ok) throw new Error(installed.message);
  const images = await buildImages({ report, root });
  await compiling;
  const archives = images.archives.map(({ archive }) => archive);
  const cluster = await startCluster({ index, report, images: archives, signal });
  const target = {
    kubectl: cluster.kubectlPath,
    helm: cluster.helmPath,
    env: cluster.toolEnv,
    root,
    nodeAddress: cluster.nodeAddress,
  };
  return { target, kubeconfigPath: cluster.kubeconfigPath, images };
}

async function prepareGiven(options: SetupOptions, kubeconfig: string): Promise<Prepared> {
  const { root, report, signal, images } = options;
  if (!existsSync(kubeconfig))
    throw new Error(`There is no kubeconfig at ${kubeconfig}: give the path of one that exists.`);
  if (images.cell === undefined || images.stores === undefined)
    throw new Error(
      "With --kubeconfig say which images the cluster can pull: --image REF --stores-image REF.",
    );
  const binaries = await ensureBinaries(report, signal);
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const target: Target = { kubectl: binaries.kubectl, helm: binaries.helm, env, root, nodeAddress: "" };
  const nodes = await getObject<{ items: { status: { addresses: { type: string; address: string }[] } }[] }>(
    target,
    ["nodes"],
  );
  const addresses = nodes.items.flatMap(({ status }) => status.addresses);
  const nodeAddress =
    addresses.find(({ type }) => type === "ExternalIP") ??
    addresses.find(({ type }) => type === "InternalIP");
  if (!nodeAddress) throw new Error("No node of this cluster has an address: node ports cannot be reached.");
  return {
    target: { ...target, nodeAddress: nodeAddress.address },
    kubeconfigPath: kubeconfig,
    images: { cell: images.cell, stores: images.stores },
  };
}

async function waitForRegion(target: Target, report: Report): Promise<void> {
  const untilMs = Date.now() + REGION_TIMEOUT_MS;
  const workloads = [
    "deployment/operator",
    "statefulset/kafka",
    "deployment/psp-sandbox",
    "deployment/dev-issuer",
    "deployment/gateway",
  ];
  for (const workload of workloads) {
    report.note(workload);
    const seconds = Math.max(1, Math.round((untilMs - Date.now()) / 1000));
    await kubectl(
      target,
      ["rollout", "status", workload, "-n", NAMESPACE, `--timeout=${seconds}s`],
      undefined,
    );
  }
  await answers(`http://${target.nodeAddress}:30080/readyz`, untilMs);
  await answers(`http://${target.nodeAddress}:30091/readyz`, untilMs);
}

/** Right after a rollout a Service can refuse for a moment: wait for an answer, not for a state. */
async function answers(url: string, untilMs: number): Promise<void> {
  for (;;) {
    const ok = await fetch(url, { signal: AbortSignal.timeout(2_000) })
      .then((response) => response.ok)
      .catch(() => false);
    if (ok) return;
    if (Date.now() > untilMs)
      throw new Error(
        `${url} does not answer; look at: npx node local/main.ts kubectl -n ${NAMESPACE} get pods`,
      );
    await pause(300);
  }
}
