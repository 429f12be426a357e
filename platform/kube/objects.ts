/** How the API server names one kind of object. `plural` is the path segment, for example "deployments". */
export interface ResourceRef {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Name of one object; `namespace` is required for namespaced kinds and ignored for cluster-scoped ones. */
export interface ObjectName {
  readonly name: string;
  readonly namespace?: string;
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: unknown[];
}

/** Any object of the API. Kinds of our own extend it with their `spec` and `status`. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** The standard condition, field for field as the API conventions write it. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  /** CamelCase word, never empty. */
  reason: string;
  /** A sentence for people; ends with what happens or what to do next. */
  message: string;
  observedGeneration?: number;
  /** RFC 3339 UTC with whole seconds, as the API server writes it. */
  lastTransitionTime: string;
}

/** Store key of an object: `namespace/name`, or `name` for cluster-scoped ones. */
export function keyOf(object: { metadata: { name: string; namespace?: string } }): string {
  return nameKey(object.metadata);
}

/** Store key of a name. */
export function nameKey(name: ObjectName): string {
  return name.namespace === undefined || name.namespace === "" ? name.name : `${name.namespace}/${name.name}`;
}

/** The reverse of nameKey. */
export function parseKey(key: string): ObjectName {
  const slash = key.indexOf("/");
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(ref: ResourceRef): string {
  return ref.group === "" ? ref.version : `${ref.group}/${ref.version}`;
}

/** `deployments.apps`, or `pods` for the core group: a short stable name for logs and metric labels. */
export function resourceName(ref: ResourceRef): string {
  return ref.group === "" ? ref.plural : `${ref.plural}.${ref.group}`;
}

/** Timestamp of the API: RFC 3339 UTC, whole seconds. */
export function formatTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d{3}Z$/, "Z");
}

/** MicroTime of the API: RFC 3339 UTC with six digits. */
export function formatMicroTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/Z$/, "000Z");
}

/** A condition as the caller states it; the transition time is ours to keep. */
export type ConditionInput = Omit<Condition, "lastTransitionTime">;

/**
 * Returns the conditions with `next` set, sorted by type. `lastTransitionTime` moves only when the status
 * flips, so that a pass that changes nothing writes nothing.
 */
export function setCondition(
  conditions: readonly Condition[],
  next: ConditionInput,
  nowMs: number,
): Condition[] {
  const previous = conditions.find((condition) => condition.type === next.type);
  const lastTransitionTime =
    previous?.status === next.status ? previous.lastTransitionTime : formatTime(nowMs);
  const merged = [
    ...conditions.filter((condition) => condition.type !== next.type),
    { ...next, lastTransitionTime },
  ];
  return merged.sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
}

/** The condition of that type, when present. */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** True when the condition of that type is present and True. */
export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === "True";
}

/** Owner reference that makes `owner` the managing controller of an object. */
export function controllerReference(owner: KubeObject): OwnerReference {
  const uid = owner.metadata.uid;
  if (uid === undefined)
    throw new Error(`${owner.kind} ${owner.metadata.name} has no uid yet: create it first`);
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The owner reference marked as controller, when there is one. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

export function hasFinalizer(object: KubeObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) === true;
}

/** True once somebody asked for the object's deletion. */
export function isDeleting(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/**
 * Compares two resource versions: negative when `a` is older. Versions of one resource type are integers of
 * any length that grow (KEP-5504); undefined when either is not a number, and the caller must not guess.
 */
export function compareVersions(a: string | undefined, b: string | undefined): number | undefined {
  if (a === undefined || b === undefined || !/^[1-9]\d*$/.test(a) || !/^[1-9]\d*$/.test(b)) return undefined;
  return a.length !== b.length ? a.length - b.length : a < b ? -1 : a > b ? 1 : 0;
}

/** Drops who wrote which field; all else of the metadata stays. */
export function dropManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _managed, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Drops what no controller reads and what makes up most of an object's size: the history of its fields. */
export function stripHistory<T extends KubeObject>(object: T): T {
  const kept = dropManagedFields(object);
  const { metadata } = kept;
  const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
  if (metadata.annotations?.[lastApplied] !== undefined) {
    const { [lastApplied]: _applied, ...annotations } = metadata.annotations;
    metadata.annotations = annotations;
  }
  return kept;
}

/**
 * What is worked out of an object that nobody can change is not worked out again for as long as somebody holds the object. Of one that is
 * not frozen it is, each time.
 */
export function onceFrozen<O extends object, R>(compute: (object: O) => R): (object: O) => R {
  const known = new WeakMap<O, { readonly result: R }>();
  return (object) => {
    const found = known.get(object);
    if (found !== undefined) return found.result;
    const result = compute(object);
    if (Object.isFrozen(object)) known.set(object, { result });
    return result;
  };
}

/** Freezes a value and all that is in it; what is frozen already counts as frozen all through. */
export function deepFreeze<V>(value: V): V {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) if (typeof part === "object") deepFreeze(part);
  return Object.freeze(value);
}
