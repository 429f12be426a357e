import type { KubeObject } from "../../platform/kube/objects.ts";
import { identity } from "../observed.ts";
import type { PreviewCluster } from "./cluster.ts";
import { fieldChanges } from "./difference.ts";
import type { PreviewPass } from "./simulate.ts";

/** Something that people notice while the change is carried out. */
export interface Effect {
  readonly object: string;
  readonly what: "restart" | "scale" | "start" | "stop" | "run" | "grow";
  /** How it goes, and what it means for requests and data. */
  readonly note: string;
}

/** Effects that begin together; the next step begins when they are through. */
export interface EffectStep {
  readonly effects: readonly Effect[];
}

/** What the passes of a simulation do to pods and volumes, in their order. */
export function effectSteps(passes: readonly PreviewPass[], before: PreviewCluster): EffectStep[] {
  const { objects, claims } = before.observed;
  const known = new Map([...objects, ...claims].map((object) => [identity(object), object]));
  /** What the operator wished in the baseline is compared exactly; what the API server stores has defaults beside. */
  const exact = new Set(before.wished.keys());
  for (const [id, object] of before.wished) known.set(id, object);
  const steps: EffectStep[] = [];
  for (const { written, removed } of passes) {
    const effects: Effect[] = [];
    const serving = [...known.values()].some(({ kind }) => kind === "Deployment");
    for (const object of written) {
      const id = identity(object);
      effects.push(...effectsOf(object, known.get(id), exact.has(id), serving));
      known.set(id, object);
      exact.add(id);
    }
    for (const object of removed) {
      const id = identity(object);
      if (known.delete(id) && (object.kind === "Deployment" || object.kind === "StatefulSet"))
        effects.push({ object: id, what: "stop", note: "its pods end." });
    }
    if (effects.length > 0) steps.push({ effects });
  }
  return steps;
}

/** `exact`: `old` is a wish, without the server's defaults; `serving`: there are services already. */
function effectsOf(
  object: KubeObject,
  old: KubeObject | undefined,
  exact: boolean,
  serving: boolean,
): Effect[] {
  const id = identity(object);
  if (object.kind === "Job")
    return old === undefined ? [{ object: id, what: "run", note: jobNote(object, serving) }] : [];
  if (object.kind === "PersistentVolumeClaim") return [growth(object, old)];
  if (object.kind !== "Deployment" && object.kind !== "StatefulSet") return [];
  const replicas = replicasOf(object);
  if (old === undefined)
    return [{ object: id, what: "start", note: `${pods(replicas)}${volumeNote(object, replicas)}.` }];
  const effects: Effect[] = [];
  const template = fieldChanges(part(old, "template"), part(object, "template"), { covering: !exact });
  if (template.length > 0) effects.push({ object: id, what: "restart", note: restartNote(object, replicas) });
  const previous = replicasOf(old);
  if (previous !== replicas)
    effects.push({
      object: id,
      what: "scale",
      note: `${previous} → ${pods(replicas)}; pods that stay are not restarted for it.`,
    });
  return effects;
}

function part(object: KubeObject, name: string): KubeObject {
  const { apiVersion, kind } = object;
  return { apiVersion, kind, metadata: { name }, spec: (object.spec as Record<string, unknown>)[name] };
}

function replicasOf(object: KubeObject): number {
  return (object.spec as { replicas?: number }).replicas ?? 1;
}

function pods(count: number): string {
  return count === 1 ? "1 pod" : `${count} pods`;
}

function restartNote({ kind, metadata: { name } }: KubeObject, replicas: number): string {
  if (kind === "Deployment" && replicas === 1)
    return "a new pod is ready before the old one ends, so requests go on.";
  if (kind === "Deployment")
    return `${pods(replicas)}, one after the other; each new one is ready before its predecessor ends, so requests go on.`;
  if (name === "cache")
    return "1 pod ends before the new one starts; meanwhile stock is held in the database, and no order is refused.";
  if (replicas > 1)
    return `${pods(replicas)}, one after the other; the others keep the majority, so requests go on. Data stays on its volumes.`;
  return (
    "1 pod ends before the new one starts; until then the cell answers 503, and gateways send new orders to other centers " +
    "that cover the address. Data stays on its volume."
  );
}

function jobNote({ metadata: { name } }: KubeObject, serving: boolean): string {
  if (name.startsWith("provision-"))
    return serving
      ? "makes roles, schema and topics; services keep running meanwhile, and new ones wait for it."
      : "makes roles, schema and topics; services wait for it.";
  if (name.startsWith("fence-")) return "shuts every writer of the cell out of its database.";
  if (name.startsWith("remove-")) return "removes the cell's topics from Kafka.";
  return "runs once.";
}

function growth(claim: KubeObject, old: KubeObject | undefined): Effect {
  const size = (object: KubeObject | undefined) =>
    (object?.spec as { resources?: { requests?: { storage?: string } } } | undefined)?.resources?.requests
      ?.storage ?? "?";
  return {
    object: identity(claim),
    what: "grow",
    note: `${size(old)} → ${size(claim)} while in use, where its storage class allows it; data stays, nothing restarts for it.`,
  };
}

function volumeNote(object: KubeObject, replicas: number): string {
  const templates = (
    object.spec as { volumeClaimTemplates?: { spec: { resources: { requests: { storage: string } } } }[] }
  ).volumeClaimTemplates;
  const size = templates?.[0]?.spec.resources.requests.storage;
  if (size === undefined) return "";
  return replicas === 1 ? ` with a new volume of ${size}` : `, each with a new volume of ${size}`;
}
