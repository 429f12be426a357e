import { dropManagedFields, type KubeObject, type ObjectName, type ResourceRef } from "./objects.ts";

/** Path of a kind's objects, in one namespace or in all. */
export function collectionPath(ref: ResourceRef, namespace: string | undefined): string {
  const root = ref.group === "" ? `/api/${ref.version}` : `/apis/${ref.group}/${ref.version}`;
  const scope =
    ref.namespaced && namespace !== undefined && namespace !== ""
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  return `${root}${scope}/${ref.plural}`;
}

/** Path of one object; throws when a namespaced kind comes without a namespace. */
export function objectPath(ref: ResourceRef, name: ObjectName): string {
  if (ref.namespaced && (name.namespace === undefined || name.namespace === ""))
    throw new Error(`${ref.kind} ${name.name} needs a namespace`);
  return `${collectionPath(ref, name.namespace)}/${encodeURIComponent(name.name)}`;
}

/** `?a=1&b=2` of the values that are set, or nothing. */
export function queryOf(values: Record<string, string | number | boolean | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** What a write of the status needs: which object in which state, and its status. The history of its fields is the server's. */
export function statusOnly<T extends KubeObject>(object: T) {
  const { apiVersion, kind, metadata, status } = dropManagedFields(object);
  return { apiVersion, kind, metadata, status };
}

/**
 * An applied configuration states wishes; what only the server may set is left out, or it would refuse. A version is no
 * wish but a condition: the server refuses with a conflict when the live object has another one.
 */
export function asWish<T extends KubeObject>(object: T, ifVersion?: string): T {
  const { managedFields, uid, resourceVersion, creationTimestamp, generation, ...metadata } = object.metadata;
  const condition = ifVersion === undefined ? {} : { resourceVersion: ifVersion };
  return { ...object, metadata: { ...metadata, ...condition } };
}
