import type { KubeObject } from "../../platform/kube/objects.ts";
import { API_VERSION, LABELS, MANAGER } from "../api/names.ts";

/** A namespace with nothing but its name. */
export function namespaceNamed(name: string): KubeObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

/** The smallest center that is valid. */
export function center(name: string): KubeObject {
  return {
    apiVersion: API_VERSION,
    kind: "FulfillmentCenter",
    metadata: { name },
    spec: {
      region: "contract",
      location: { latitude: "37.5663", longitude: "126.9018" },
      coverage: { radiusMeters: 8000 },
    },
  };
}

/** Labelled as the pods of a cell are, so that the nodes of every cluster run it. */
export function template(name: string, args: readonly string[], more: Record<string, unknown> = {}) {
  const labels = { app: name, [LABELS.managedBy]: MANAGER, [LABELS.center]: name };
  const env = [{ name: "CELL_EPOCH", value: "7" }];
  return {
    metadata: { labels: { ...labels, ...(more.labels as object) } },
    spec: {
      restartPolicy: more.restartPolicy ?? "Always",
      containers: [{ name: "main", image: "x", args, env }],
    },
  };
}

/** A Job whose container is told `args`. */
export function job(namespace: string, name: string, args: readonly string[]): KubeObject {
  const spec = { backoffLimit: 1, template: template(name, args, { restartPolicy: "Never" }) };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name, namespace }, spec };
}

/** Two pods, rolled over without ever having fewer; `revision` is a label of theirs. */
export function deployment(namespace: string, name: string, revision: string): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace },
    spec: {
      replicas: 2,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: { app: name } },
      template: template(name, ["run"], { labels: { revision } }),
    },
  };
}

/** What a claim of this size asks for. */
export const claimSpec = (storage: string) => ({
  accessModes: ["ReadWriteOnce"],
  resources: { requests: { storage } },
});

/** One pod with one claim. */
export function statefulSet(namespace: string, name: string): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace },
    spec: {
      replicas: 1,
      serviceName: name,
      selector: { matchLabels: { app: name } },
      template: template(name, ["run"]),
      volumeClaimTemplates: [
        {
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          metadata: { name: "data", labels: { claim: name } },
          spec: claimSpec("1Gi"),
        },
      ],
    },
  };
}
