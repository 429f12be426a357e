import { join } from "node:path";
import type { Report } from "../cluster/report.ts";
import { run } from "./run.ts";

export const NAMESPACE = "fulfillment-cells";
export const RELEASE = "fulfillment-cells";

/** How the demo reaches a Kubernetes: its own or one that was given. */
export interface Target {
  readonly kubectl: string;
  readonly helm: string;
  readonly env: NodeJS.ProcessEnv;
  readonly root: string;
  /** Address of a node, for NodePorts. */
  readonly nodeAddress: string;
}

export interface InstallImages {
  readonly cell: string;
  readonly stores: string;
}

export const kubectl = (target: Target, args: readonly string[], input?: string) =>
  run(target.kubectl, args, { env: target.env, ...(input === undefined ? {} : { input }) });

/** One object as the API server has it. */
export async function getObject<T>(target: Target, args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl(target, ["get", ...args, "-o", "json"])) as T;
}

/** Installs or upgrades the chart, CRDs first: helm never changes a CRD that is there. */
export async function installChart(target: Target, images: InstallImages, report: Report): Promise<void> {
  const chart = join(target.root, "charts", "fulfillment-cells");
  await report.step(
    "Install the chart",
    "CRDs, operator, gateway, Kafka, region database, stand-ins",
    async () => {
      await kubectl(target, ["apply", "--server-side", "--force-conflicts", "-f", join(chart, "crds")]);
      await kubectl(
        target,
        ["apply", "--server-side", "-f", "-"],
        JSON.stringify({
          apiVersion: "v1",
          kind: "Namespace",
          metadata: {
            name: NAMESPACE,
            labels: {
              "pod-security.kubernetes.io/enforce": "restricted",
              "pod-security.kubernetes.io/warn": "restricted",
            },
          },
        }),
      );
      const set = {
        "image.cell": images.cell,
        "image.postgres": images.stores,
        "image.redis": images.stores,
        "kafka.local.image": images.stores,
      };
      await run(
        target.helm,
        [
          "upgrade",
          "--install",
          RELEASE,
          chart,
          "--namespace",
          NAMESPACE,
          "--skip-crds",
          "--values",
          join(chart, "values-local.yaml"),
          ...Object.entries(set).flatMap(([name, value]) => ["--set-string", `${name}=${value}`]),
        ],
        { env: target.env },
      );
    },
  );
}
