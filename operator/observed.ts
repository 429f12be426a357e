import { type KubeObject, onceFrozen } from "../platform/kube/objects.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import type { Brokers } from "./brokers.ts";
import type { Neighbour } from "./build/probe.ts";
import { recovered } from "./build/recovery.ts";
import type { KeyPair } from "./build/secrets.ts";
import type { Draining } from "./draining.ts";

/** Everything about one center that the cluster holds, read once at the start of a pass. */
export interface Observed {
  readonly namespace: KubeObject | undefined;
  /** Our objects inside the cell's namespace, without pods, claims and the namespace itself. */
  readonly objects: readonly KubeObject[];
  readonly pods: readonly KubeObject[];
  readonly claims: readonly KubeObject[];
  /** Autoscalers in the cell's namespace, whoever made them. */
  readonly autoscalers: readonly KubeObject[];
  /** The table of the center's region. */
  readonly table: RoutingTable | undefined;
  /** The cell's key: from its Secret, else made a moment ago and not written yet. */
  readonly cellKey: KeyPair;
  /** What is known of its Kafka; absent where nobody looks. */
  readonly brokers?: Brokers;
  /** What a draining cell said last; absent unless the center is drained. */
  readonly drain?: Draining;
  /** The key that comes after it, likewise. */
  readonly nextCellKey: KeyPair;
  /** Public keys of the region's gateways. */
  readonly gatewayKeys: readonly Record<string, unknown>[];
  /** Other cells that this one must not reach. */
  readonly neighbours: readonly Neighbour[];
}

/** Finds one of our objects by kind and name. */
export function find(
  observed: Pick<Observed, "objects">,
  kind: string,
  name: string,
): KubeObject | undefined {
  return observed.objects.find((object) => object.kind === kind && object.metadata.name === name);
}

/** Pods of one workload of the cell. */
export function podsOf(observed: Pick<Observed, "pods">, component: string): KubeObject[] {
  return observed.pods.filter((pod) => pod.metadata.labels?.["app.kubernetes.io/component"] === component);
}

/** Identity of an object inside one cell. */
export function identity(object: KubeObject): string {
  return `${object.kind}/${object.metadata.name}`;
}

/** Decoded data of the observed Secrets by name and key; what is missing is taken from their copy. */
export function secretData(objects: readonly KubeObject[]): Record<string, Record<string, string>> {
  const result: Record<string, Readonly<Record<string, string>>> = {};
  for (const object of objects) if (object.kind === "Secret") result[object.metadata.name] = textsOf(object);
  return recovered(result);
}

/** A Secret's data by key, as text. */
export const textsOf = onceFrozen((secret: KubeObject): Readonly<Record<string, string>> => {
  const data = (secret.data ?? {}) as Record<string, string>;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
});
