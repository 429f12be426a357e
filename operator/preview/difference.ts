import { canonicalJson } from "../../platform/canonical.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { ANNOTATIONS } from "../api/names.ts";

/** One field before and after, as short JSON; absent where the field is not there. */
export interface FieldChange {
  readonly path: string;
  readonly before?: string;
  readonly after?: string;
}

/** Hashes of what is listed anyway. */
const HIDDEN: ReadonlySet<string> = new Set([ANNOTATIONS.revision, ANNOTATIONS.applied]);
const MAX_VALUE_CHARS = 120;

/**
 * The fields in which two states of an object differ. With `covering`, fields that only `before` has do not count:
 * `before` is then what the API server stores, with its own defaults. A Secret's values are never told.
 */
export function fieldChanges(
  before: KubeObject,
  after: KubeObject,
  options: { readonly covering?: boolean } = {},
): FieldChange[] {
  const found: FieldChange[] = [];
  const secret = after.kind === "Secret";
  const walk = (path: string, old: unknown, now: unknown): void => {
    if (canonicalJson(old) === canonicalJson(now)) return;
    if (now === undefined && options.covering === true) return;
    if (isRecord(old) && isRecord(now)) {
      for (const key of unionOf(Object.keys(old), Object.keys(now)))
        if (!HIDDEN.has(key)) walk(joined(path, key), old[key], now[key]);
      return;
    }
    const [oldItems, newItems] = [byName(old), byName(now)];
    if (oldItems !== undefined && newItems !== undefined) {
      for (const name of unionOf(Object.keys(oldItems), Object.keys(newItems)))
        walk(`${path}[${name}]`, oldItems[name], newItems[name]);
      return;
    }
    if (Array.isArray(old) && Array.isArray(now) && old.length === now.length) {
      now.forEach((item, index) => void walk(`${path}[${index}]`, old[index], item));
      return;
    }
    const hide = secret && /^(data|stringData)\b/.test(path);
    found.push({
      path,
      ...(old === undefined ? {} : { before: hide ? "(hidden)" : short(old) }),
      ...(now === undefined ? {} : { after: hide ? "(hidden, changed)" : short(now) }),
    });
  };
  for (const part of unionOf(Object.keys(before), Object.keys(after))) {
    if (part === "status" || part === "metadata") continue;
    walk(part, before[part], after[part]);
  }
  for (const part of ["labels", "annotations"] as const)
    walk(`metadata.${part}`, before.metadata[part] ?? {}, after.metadata[part] ?? {});
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Items of a list by their name, when each has one of its own; env variables collapse to their value. */
function byName(list: unknown): Record<string, unknown> | undefined {
  if (!Array.isArray(list) || list.length === 0) return undefined;
  const names = list.map((item) => (isRecord(item) ? item.name : undefined));
  if (names.some((name) => typeof name !== "string") || new Set(names).size !== names.length)
    return undefined;
  return Object.fromEntries(
    list.map((item: Record<string, unknown>) => [
      item.name as string,
      Object.keys(item).length === 2 && "value" in item ? item.value : item,
    ]),
  );
}

function unionOf(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

function joined(path: string, key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? `${path}.${key}` : `${path}["${key}"]`;
}

function short(value: unknown): string {
  const text = typeof value === "string" && value !== "" ? value : (JSON.stringify(value) ?? "");
  return text.length <= MAX_VALUE_CHARS ? text : `${text.slice(0, MAX_VALUE_CHARS - 1)}…`;
}
