import type { KubeObject } from "../../platform/kube/objects.ts";
import { findCondition } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import { identity, type Observed } from "../observed.ts";
import type { PreviewCluster } from "./cluster.ts";
import { type FieldChange, fieldChanges } from "./difference.ts";
import { type EffectStep, effectSteps } from "./effects.ts";
import { type PreviewGivens, type Simulation, simulate } from "./simulate.ts";

export interface ObjectChange {
  readonly action: "create" | "change" | "delete";
  readonly kind: string;
  readonly name: string;
  /** Only of a change. */
  readonly fields: readonly FieldChange[];
}

export interface PreviewInput extends PreviewGivens {
  /** The center as it is; undefined when there is none yet. */
  readonly current: FulfillmentCenter | undefined;
  /** The center as it would be stored; one with a deletionTimestamp is deleted. */
  readonly next: FulfillmentCenter;
  readonly observed: Observed;
  /** Something had to be assumed: then only what the change itself does is told, which the assumption does not touch. */
  readonly assumed: boolean;
}

export interface Preview {
  /** What the operator is about to do, or doing, without the change. */
  readonly pending: readonly ObjectChange[];
  /** What the change leads to in the end. */
  readonly changes: readonly ObjectChange[];
  /** The center's entry in the routing table. */
  readonly routing: readonly FieldChange[];
  readonly steps: readonly EffectStep[];
  /** Why the operator does not act on the center, when it does not. */
  readonly stopped: string | undefined;
  /** What is left of the cell when it is deleted; undefined unless it is. */
  readonly left: Leftover | undefined;
  readonly outcome: { readonly phase: string | undefined; readonly ready: string | undefined };
}

export interface Leftover {
  readonly kept: readonly string[];
  readonly lost: readonly string[];
  /** Uid by which a new center takes the kept namespace over. */
  readonly adopt?: string;
}

/**
 * What a change of a center will do to its cell. The operator's own decision is followed twice to its end: from the
 * present cluster without the change, and from there with it; the difference is what the change does.
 */
export function previewChange(input: PreviewInput): Preview {
  const { current, next, observed } = input;
  const present: PreviewCluster = { fc: current, observed, wished: new Map() };
  const without: Simulation | undefined = current === undefined ? undefined : simulate(present, input);
  const base = without?.cluster ?? present;
  const fc = centerAfter(base.fc ?? current, next);
  const changed = simulate({ ...base, fc }, input);
  return {
    pending: without === undefined || input.assumed ? [] : pendingChanges(present, without.cluster),
    changes: changesBetween(base, changed.cluster),
    routing: routingChanges(base, changed.cluster, next.metadata.name),
    steps: effectSteps(changed.passes, base),
    stopped: stoppedBy(changed),
    left: next.metadata.deletionTimestamp === undefined ? undefined : leftover(base, changed.cluster),
    outcome: {
      phase: changed.cluster.fc?.status?.phase,
      ready: findCondition(changed.cluster.fc?.status?.conditions, "Ready")?.message,
    },
  };
}

/** The changed center with what the operator has written to it by then. */
function centerAfter(before: FulfillmentCenter | undefined, next: FulfillmentCenter): FulfillmentCenter {
  if (before === undefined)
    return { ...next, metadata: { ...next.metadata, uid: next.metadata.uid ?? "(new)", generation: 1 } };
  const { uid, finalizers } = before.metadata;
  return {
    ...next,
    metadata: {
      ...next.metadata,
      ...(uid === undefined ? {} : { uid }),
      ...(finalizers === undefined ? {} : { finalizers }),
      generation: (before.metadata.generation ?? 0) + 1,
    },
    ...(before.status === undefined ? {} : { status: before.status }),
  };
}

function pendingChanges(present: PreviewCluster, after: PreviewCluster): ObjectChange[] {
  const live = objectsOf(present);
  const found: ObjectChange[] = [];
  for (const [id, wish] of after.wished) {
    const before = live.get(id);
    if (before === undefined) found.push(change("create", wish));
    else {
      const fields = fieldChanges(before, wish, { covering: true });
      if (fields.length > 0) found.push(change("change", wish, fields));
    }
  }
  const left = objectsOf(after);
  for (const [id, object] of live) if (!left.has(id)) found.push(change("delete", object));
  return found;
}

function changesBetween(before: PreviewCluster, after: PreviewCluster): ObjectChange[] {
  const found: ObjectChange[] = [];
  const [old, now] = [objectsOf(before), objectsOf(after)];
  for (const [id, object] of now) {
    const previous = before.wished.get(id) ?? old.get(id);
    const wish = after.wished.get(id);
    if (previous === undefined) found.push(change("create", object));
    else if (wish !== undefined) {
      const fields = fieldChanges(previous, wish, { covering: !before.wished.has(id) });
      if (fields.length > 0) found.push(change("change", wish, fields));
    }
  }
  for (const [id, object] of old) if (!now.has(id)) found.push(change("delete", object));
  return found;
}

/** Everything of the cell that the operator or its workloads' claims stand for, the namespace first. */
function objectsOf({ observed }: PreviewCluster): Map<string, KubeObject> {
  const { namespace, objects, claims } = observed;
  const all = [...(namespace === undefined ? [] : [namespace]), ...objects, ...claims];
  return new Map(all.map((object) => [identity(object), object]));
}

function change(
  action: ObjectChange["action"],
  { kind, metadata }: KubeObject,
  fields: readonly FieldChange[] = [],
): ObjectChange {
  return { action, kind, name: metadata.name, fields };
}

function routingChanges(before: PreviewCluster, after: PreviewCluster, name: string): FieldChange[] {
  const entry = (cluster: PreviewCluster): KubeObject => {
    const {
      services: _addresses,
      publicKey: _key,
      ...told
    } = cluster.observed.table?.spec.cells.find((cell) => cell.name === name) ?? {};
    return { apiVersion: "", kind: "", metadata: { name }, entry: told };
  };
  return fieldChanges(entry(before), entry(after)).map((one) => ({
    ...one,
    path: one.path.replace(/^entry\./, ""),
  }));
}

function stoppedBy({ cluster, plan, settled }: Simulation): string | undefined {
  if (!settled) return "The preview did not come to rest: what is told here may not be all.";
  const conditions = cluster.fc?.status?.conditions ?? plan?.status.conditions;
  if (cluster.fc === undefined) return undefined;
  const stalled = findCondition(conditions, "Stalled");
  if (stalled?.status === "True") return stalled.message;
  if (cluster.fc.spec.paused) return findCondition(conditions, "Ready")?.message;
  return undefined;
}

function leftover(before: PreviewCluster, after: PreviewCluster): Leftover {
  const valuable = (cluster: PreviewCluster) =>
    [...objectsOf(cluster).values()].filter(({ kind }) =>
      ["Namespace", "PersistentVolumeClaim", "Secret"].includes(kind),
    );
  const kept = new Set(valuable(after).map(identity));
  const adopt = after.observed.namespace?.metadata.uid;
  return {
    kept: [...kept],
    lost: valuable(before)
      .map(identity)
      .filter((id) => !kept.has(id)),
    ...(adopt === undefined ? {} : { adopt }),
  };
}
