import { isDeepStrictEqual } from "node:util";

export type Fields = Record<string, unknown>;
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Who set which field of one object: manager -> paths of leaves. A list is one leaf, as in our own kinds. */
export type FieldOwners = ReadonlyMap<string, ReadonlySet<string>>;

const SEPARATOR = "\u0000";

/** Paths of everything that a configuration says. */
export function leafPaths(value: unknown, prefix = "", found: Set<string> = new Set()): Set<string> {
  if (!isFields(value) || Object.keys(value).length === 0) return found.add(prefix);
  for (const [name, field] of Object.entries(value))
    if (field !== undefined) leafPaths(field, prefix === "" ? name : prefix + SEPARATOR + name, found);
  return found;
}

/** Paths whose value differs between two states, also those that only one of them has. */
export function changedPaths(before: unknown, after: unknown): Set<string> {
  const changed = new Set<string>();
  for (const path of new Set([...leafPaths(before), ...leafPaths(after)]))
    if (!isDeepStrictEqual(valueAt(before, path), valueAt(after, path))) changed.add(path);
  return changed;
}

export interface Applied {
  readonly object: Fields;
  readonly owners: FieldOwners;
  /** Fields that another manager has with another value. */
  readonly conflicts: readonly string[];
}

/**
 * Merges an applied configuration into an object: what the manager asks for is set and its own, what it asked for
 * before and asks for no more goes unless somebody else has it too.
 */
export function applyFields(live: Fields, owners: FieldOwners, manager: string, wish: Fields): Applied {
  const wanted = leafPaths(wish);
  const others = [...owners].filter(([name]) => name !== manager);
  let object = live;
  for (const path of owners.get(manager) ?? []) {
    const value = valueAt(live, path);
    // An empty map that others have put something into meanwhile is no leaf of ours any more.
    const isFilled = isFields(value) && Object.keys(value).length > 0;
    const isOurs = !wanted.has(path) && !others.some(([, paths]) => paths.has(path));
    if (isOurs && !isFilled) object = without(object, path);
  }
  const conflicts: string[] = [];
  const lost = new Set<string>();
  for (const path of wanted) {
    const value = valueAt(wish, path);
    const known = valueAt(live, path);
    const isEmpty = isFields(value) && Object.keys(value).length === 0;
    if (isDeepStrictEqual(known, value) || (isEmpty && isFields(known))) continue;
    if (others.some(([, paths]) => paths.has(path))) {
      conflicts.push(path.split(SEPARATOR).join("."));
      lost.add(path);
    }
    object = withValue(object, path, value);
  }
  const next = new Map(others.map(([name, paths]) => [name, minus(paths, lost)] as const));
  next.set(manager, wanted);
  return { object, owners: next, conflicts };
}

/** After a plain write: what it changed belongs to its manager alone. */
export function takeFields(
  owners: FieldOwners,
  manager: string,
  changed: ReadonlySet<string>,
  after: unknown,
): FieldOwners {
  const next = new Map([...owners].map(([name, paths]) => [name, minus(paths, changed)] as const));
  const present = [...changed].filter((path) => valueAt(after, path) !== undefined);
  return next.set(manager, new Set([...(next.get(manager) ?? []), ...present]));
}

type FieldSet = { [step: string]: FieldSet };

/** The owners as an object's managedFields show them. */
export function managedFieldsOf(owners: FieldOwners): unknown[] {
  return [...owners].map(([who, paths]) => {
    const { operation, subresource, manager } = parseOwner(who);
    const fieldsV1: FieldSet = {};
    for (const path of paths) {
      let at = fieldsV1;
      for (const name of path.split(SEPARATOR)) {
        at[`f:${name}`] ??= {};
        at = at[`f:${name}`] as FieldSet;
      }
    }
    const part = subresource === undefined ? {} : { subresource };
    return { manager, operation, ...part, fieldsType: "FieldsV1", fieldsV1 };
  });
}

/** The reverse of managedFieldsOf: who writes an object's managedFields says whose its fields are. */
export function ownersOf(managedFields: readonly unknown[]): FieldOwners {
  const owners = new Map<string, Set<string>>();
  for (const entry of managedFields as {
    manager: string;
    operation: string;
    subresource?: string;
    fieldsV1?: FieldSet;
  }[]) {
    const paths = new Set<string>();
    const walk = (set: FieldSet, prefix: readonly string[]) => {
      const steps = Object.entries(set);
      if (steps.length === 0 && prefix.length > 0) paths.add(prefix.join(SEPARATOR));
      for (const [step, inner] of steps) walk(inner, [...prefix, step.replace(/^f:/, "")]);
    };
    walk(entry.fieldsV1 ?? {}, []);
    owners.set(ownerName(entry.operation, entry.subresource, entry.manager), paths);
  }
  return owners;
}

/** How FieldOwners names one manager's way of writing. */
export function ownerName(operation: string, subresource: string | undefined, manager: string): string {
  return `${operation} ${subresource ?? "main"} ${manager}`;
}

function parseOwner(who: string) {
  const [operation, part, ...manager] = who.split(" ");
  return { operation, subresource: part === "main" ? undefined : part, manager: manager.join(" ") };
}

function minus(paths: ReadonlySet<string>, gone: ReadonlySet<string>): ReadonlySet<string> {
  return gone.size === 0 ? paths : new Set([...paths].filter((path) => !gone.has(path)));
}

function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path.split(SEPARATOR)) found = isFields(found) ? found[name] : undefined;
  return found;
}

function withValue(object: Fields, path: string, value: unknown): Fields {
  const [name = "", ...rest] = path.split(SEPARATOR);
  if (rest.length === 0) return { ...object, [name]: value };
  const inner = object[name];
  return { ...object, [name]: withValue(isFields(inner) ? inner : {}, rest.join(SEPARATOR), value) };
}

/** Without the leaf, and without what is empty because of that. */
function without(object: Fields, path: string): Fields {
  const [name = "", ...rest] = path.split(SEPARATOR);
  const { [name]: inner, ...others } = object;
  if (rest.length === 0 || !isFields(inner)) return others;
  const left = without(inner, rest.join(SEPARATOR));
  return Object.keys(left).length === 0 ? others : { ...object, [name]: left };
}

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const merged: Fields = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}
