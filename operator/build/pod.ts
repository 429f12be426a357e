import { ANNOTATIONS, LABELS } from "../api/names.ts";
import { type Cell, ownerLabels } from "./cell.ts";

/** User and group of every container; the images know it. */
const USER_ID = 10_001;
/** Longer than the slices' own 18 s for draining. */
export const GRACE_SECONDS = 20;

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?:
    | { readonly secretKeyRef: { readonly name: string; readonly key: string; readonly optional?: boolean } }
    | { readonly fieldRef: { readonly fieldPath: string } };
}

export interface Resources {
  readonly requests: Readonly<Record<string, string>>;
  readonly limits: Readonly<Record<string, string>>;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly resources: Resources;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly startupProbe?: unknown;
  readonly readinessProbe?: unknown;
  readonly livenessProbe?: unknown;
  readonly command?: readonly string[];
}

export interface PodOptions {
  readonly component: string;
  readonly serviceAccount: string;
  readonly container: Container;
  /** Slices that the pod runs. */
  readonly slices?: readonly string[];
  readonly volumes?: readonly Record<string, unknown>[];
  readonly restartPolicy?: "Never" | "Always";
  readonly graceSeconds?: number;
  /** Pods of the component go to different zones and nodes as far as there are any. */
  readonly spread?: boolean;
  /** Hash of the Secrets that the container reads; a change rolls the pods. */
  readonly configChecksum?: string;
}

export function podLabels(
  cell: Cell,
  component: string,
  slices: readonly string[] = [],
): Record<string, string> {
  const labels: Record<string, string> = { ...ownerLabels(cell), [LABELS.component]: component };
  for (const slice of slices) labels[LABELS.slice(slice)] = "";
  return labels;
}

/** A pod template that passes Pod Security "restricted": not root, no capability, read-only root, no token. */
export function buildPodTemplate(cell: Cell, options: PodOptions) {
  const { container } = options;
  return {
    metadata: {
      labels: podLabels(cell, options.component, options.slices),
      ...(options.configChecksum === undefined
        ? {}
        : { annotations: { [ANNOTATIONS.configChecksum]: options.configChecksum } }),
    },
    spec: {
      serviceAccountName: options.serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: options.restartPolicy ?? "Always",
      ...(options.spread === true ? { topologySpreadConstraints: spreadOf(options.component) } : {}),
      terminationGracePeriodSeconds: options.graceSeconds ?? GRACE_SECONDS,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER_ID,
        runAsGroup: USER_ID,
        fsGroup: USER_ID,
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          ...container,
          imagePullPolicy: cell.settings.images.pullPolicy,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          volumeMounts: [{ name: "tmp", mountPath: "/tmp" }, ...(container.volumeMounts ?? [])],
        },
      ],
      volumes: [{ name: "tmp", emptyDir: { sizeLimit: "256Mi" } }, ...(options.volumes ?? [])],
    },
  };
}

/** A wish, not a condition: a cluster of one node still runs them all. */
function spreadOf(component: string) {
  return ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: { [LABELS.component]: component } },
  }));
}

/** Probe that opens a TCP connection: works for any image of a store. */
export function tcpProbe(port: string, periodSeconds: number, failureThreshold: number) {
  return { tcpSocket: { port }, periodSeconds, failureThreshold, timeoutSeconds: 3 };
}

export function httpProbe(path: string, port: string, periodSeconds: number, failureThreshold: number) {
  return { httpGet: { path, port }, periodSeconds, failureThreshold, timeoutSeconds: 3 };
}

export function secretEnv(name: string, secret: string, key: string): EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}
