import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import { type Cell, metadata } from "./cell.ts";
import { buildPodTemplate, type PodOptions, podLabels } from "./pod.ts";
import { formatBytes, parseBytes } from "./quantity.ts";

export interface VolumeOptions {
  readonly size: string;
  readonly storageClassName?: string | undefined;
}

/** A store of the cell: stable names and, with a volume, data that outlives its pods. */
export function buildStatefulSet(
  cell: Cell,
  name: string,
  options: {
    readonly replicas: number;
    readonly pod: PodOptions;
    readonly volume?: VolumeOptions | undefined;
    readonly headlessService: string;
  },
): KubeObject {
  const { volume } = options;
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: metadata(cell, name, name),
    spec: {
      replicas: options.replicas,
      serviceName: options.headlessService,
      podManagementPolicy: "Parallel",
      selector: { matchLabels: { [LABELS.component]: name } },
      template: buildPodTemplate(cell, options.pod),
      ...(volume === undefined
        ? {}
        : {
            volumeClaimTemplates: [
              {
                apiVersion: "v1",
                kind: "PersistentVolumeClaim",
                metadata: { name: "data", labels: podLabels(cell, name) },
                spec: {
                  accessModes: ["ReadWriteOnce"],
                  ...(volume.storageClassName === undefined
                    ? {}
                    : { storageClassName: volume.storageClassName }),
                  resources: { requests: { storage: formatBytes(parseBytes(volume.size)) } },
                },
              },
            ],
          }),
    },
  };
}

/** A Service of one port in front of pods that carry all the labels of `selector`. */
export function buildService(
  cell: Cell,
  name: string,
  options: {
    readonly selector: Readonly<Record<string, string>>;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
    readonly headless?: boolean;
  },
): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(cell, name, name),
    spec: {
      ...(options.headless ? { clusterIP: "None", publishNotReadyAddresses: true } : { type: "ClusterIP" }),
      selector: options.selector,
      ports: options.ports.map((port) => ({ ...port, protocol: "TCP" })),
    },
  };
}
