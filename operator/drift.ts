import { differences } from "../platform/kube/differences.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { stripHistory } from "../platform/kube/objects.ts";
import {
  additionsOf,
  type Claim,
  type FieldSet,
  hasField,
  type Owner,
  ownersOf,
  pathsOf,
  without,
} from "../platform/kube/owners.ts";
import { MANAGER } from "./api/names.ts";
import { identity } from "./observed.ts";
import type { Notice } from "./plan.ts";

/** Something inside a cell that somebody changed and that was put back. */
export interface Drift {
  readonly object: KubeObject;
  readonly what: "changed" | "deleted";
  /** Paths of fields, for people; empty for a deleted object. */
  readonly fields: readonly string[];
  /** Who changed it, as far as the object told. */
  readonly by?: string;
}

/** Parts of Kubernetes that fill in fields of objects that are ours. */
const SYSTEM = /^(kube-|cloud-controller-manager|service-controller|kubelet)/;
/** Neither the operator nor a part of Kubernetes. */
const isStranger = (manager: string) => manager !== MANAGER && !SYSTEM.test(manager);
/** Every field of these decides who reaches what, or how much: nobody adds to them. */
const WHOLLY_OURS = new Set([
  "NetworkPolicy",
  "Service",
  "PodDisruptionBudget",
  "ResourceQuota",
  "LimitRange",
]);
/** Here a controller may add fields of its own; what a person adds by hand is taken away. */
const BY_HAND = new Set(["Deployment", "StatefulSet", "Secret"]);
/** The number of replicas is handed over and back by rules of its own; `kubectl rollout restart` leaves a mark that has done its work. */
const EXEMPT: FieldSet = {
  "f:spec": { "f:replicas": {}, "f:template": { "f:metadata": { "f:annotations": {} } } },
};
const MAX_FIELDS = 4;

/** Fields that others added to our objects and may not keep. */
export const claimed: Claim = (object, owner) => {
  const { manager = "", subresource, fieldsV1 = {} } = owner;
  if (subresource !== undefined || !isStranger(manager)) return undefined;
  const byHand = BY_HAND.has(object.kind) && manager.startsWith("kubectl");
  if (!byHand && !WHOLLY_OURS.has(object.kind)) return undefined;
  const { "f:spec": spec, "f:data": data } = fieldsV1;
  const set = {
    ...(spec === undefined ? {} : { "f:spec": spec }),
    ...(data === undefined ? {} : { "f:data": data }),
  };
  return withoutExempt(set);
};

function withoutExempt(set: FieldSet): FieldSet | undefined {
  const template = set["f:spec"]?.["f:template"]?.["f:metadata"]?.["f:annotations"];
  const less =
    template === undefined
      ? EXEMPT
      : { "f:spec": { "f:replicas": {}, "f:template": { "f:metadata": { "f:annotations": template } } } };
  return without(set, less);
}

/** What is kept of an object's history in a local copy: what others hold, and who holds the number of replicas. */
export function keepOthers(object: KubeObject): KubeObject {
  const owners = ownersOf(object).flatMap((owner): Owner[] => {
    const { manager = "", operation, subresource, time } = owner;
    if (subresource === "status") return [];
    if (isStranger(manager)) return [owner];
    const ofReplicas = object.kind === "Deployment" && hasField(owner.fieldsV1, "f:spec", "f:replicas");
    if (!ofReplicas) return [];
    const known = {
      manager,
      ...(operation === undefined ? {} : { operation }),
      ...(subresource === undefined ? {} : { subresource }),
    };
    return [
      { ...known, ...(time === undefined ? {} : { time }), fieldsV1: { "f:spec": { "f:replicas": {} } } },
    ];
  });
  const stripped = stripHistory(object);
  return owners.length === 0
    ? stripped
    : { ...stripped, metadata: { ...stripped.metadata, managedFields: owners } };
}

/** False when keepOthers is going to keep nothing of what these hold of an object of that kind. */
export function keepsAny(kind: string, managers: readonly string[]): boolean {
  return kind === "Deployment" || managers.some(isStranger);
}

/** What was put back when an object, wished for as before, had to be written again. */
export function driftOf(
  wish: KubeObject,
  { before, made }: { readonly before: KubeObject | undefined; readonly made: boolean },
): Drift | undefined {
  // Deleting a Job is how a person has it run again.
  if (made) return wish.kind === "Job" ? undefined : { object: wish, what: "deleted", fields: [] };
  // It is there and was not seen: the label is gone that it is followed by.
  if (before === undefined) return { object: wish, what: "changed", fields: ["metadata.labels"] };
  const added = additionsOf(before, claimed).flatMap(({ fieldsV1 = {} }) =>
    pathsOf(fieldsV1, MAX_FIELDS + 1),
  );
  const fields = [...new Set([...differences(before, wish, MAX_FIELDS + 1), ...added])];
  const by = lastWriter(before);
  return {
    object: wish,
    what: "changed",
    fields: fields.length === 0 ? ["metadata.annotations"] : fields,
    ...(by === undefined ? {} : { by }),
  };
}

function lastWriter(object: KubeObject): string | undefined {
  const others = ownersOf(object).filter(({ manager }) => manager !== MANAGER);
  const [last] = [...others].sort((a, b) => (b.time ?? "").localeCompare(a.time ?? ""));
  return last?.manager;
}

/** The Event about a correction; `count` tells two corrections of the same field apart. */
export function driftNotice({ object, what, fields, by }: Drift, count: number): Notice {
  const shown = fields.slice(0, MAX_FIELDS).join(", ");
  const more = fields.length > MAX_FIELDS ? " and more" : "";
  const note =
    what === "deleted"
      ? `${identity(object)} had been deleted and was made again.`
      : `${identity(object)}: ${shown}${more} had been changed${by === undefined ? "" : ` by ${by}`} and was put back.`;
  return {
    key: `drift ${identity(object)} ${count}`,
    type: "Normal",
    reason: "DriftCorrected",
    action: "Apply",
    note,
  };
}
