import type { KubeObject } from "./objects.ts";

/** Set of fields as the API writes it: each step is a field (`f:`), an element of a list (`k:`, `v:`, `i:`) or itself (`.`). */
export interface FieldSet {
  readonly [step: string]: FieldSet;
}

/** One entry of managedFields: who holds which fields of an object. */
export interface Owner {
  readonly manager?: string;
  readonly operation?: "Apply" | "Update";
  readonly apiVersion?: string;
  readonly time?: string;
  readonly fieldsType?: string;
  readonly fieldsV1?: FieldSet;
  readonly subresource?: string;
}

/** Who holds fields of an object, as far as the copy tells. */
export function ownersOf(object: KubeObject | undefined): readonly Owner[] {
  return (object?.metadata.managedFields ?? []) as readonly Owner[];
}

/** True when the set has the field at this path, for example `f:spec`, `f:replicas`. */
export function hasField(set: FieldSet | undefined, ...path: readonly string[]): boolean {
  let at: FieldSet | undefined = set;
  for (const step of path) at = at?.[step];
  return at !== undefined;
}

/** Which fields of others a manager claims: part of the set of one owner, or undefined when none. */
export type Claim = (object: KubeObject, owner: Owner) => FieldSet | undefined;

/** What others added to an object that the claim does not leave to them. */
export function additionsOf(object: KubeObject | undefined, claim: Claim): Owner[] {
  if (object === undefined) return [];
  return ownersOf(object).flatMap((owner) => {
    const fieldsV1 = claim(object, owner);
    return fieldsV1 === undefined ? [] : [{ ...owner, fieldsV1 }];
  });
}

/**
 * A list of managedFields after `manager` took over what it claims of `object`. The next apply of the manager drops those of
 * the fields that it does not want: so additions are removed without knowing how each list of the API is merged.
 */
export function takenOver(
  object: KubeObject,
  held: readonly Owner[],
  manager: string,
  claim: Claim,
): Owner[] {
  const taken = held.flatMap((owner) => claim(object, owner) ?? []);
  const isOurs = (owner: Owner) =>
    owner.manager === manager && owner.operation === "Apply" && owner.subresource === undefined;
  return held.flatMap((owner) => {
    if (isOurs(owner)) return [{ ...owner, fieldsV1: taken.reduce(union, owner.fieldsV1 ?? {}) }];
    const claimed = claim(object, owner);
    if (claimed === undefined) return [owner];
    const rest = without(owner.fieldsV1 ?? {}, claimed);
    return rest === undefined ? [] : [{ ...owner, fieldsV1: rest }];
  });
}

/** Both sets. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = { ...a };
  for (const [step, set] of Object.entries(b)) result[step] = union(result[step] ?? {}, set);
  return result;
}

/** `set` without the leaves of `less`; undefined when nothing is left. */
export function without(set: FieldSet, less: FieldSet): FieldSet | undefined {
  const result: Record<string, FieldSet> = {};
  for (const [step, inner] of Object.entries(set)) {
    const minus = less[step];
    const rest = minus === undefined ? inner : without(inner, minus);
    if (rest !== undefined) result[step] = rest;
  }
  return Object.keys(result).length === 0 ? undefined : result;
}

/** Leaves of a set as paths for people, at most `limit`. */
export function pathsOf(set: FieldSet, limit = 8, path = ""): string[] {
  const found: string[] = [];
  for (const [step, inner] of Object.entries(set)) {
    if (found.length >= limit) break;
    if (step === ".") continue;
    const word = step.startsWith("f:") ? step.slice(2) : `[${step.slice(2)}]`;
    const next = path === "" || word.startsWith("[") ? path + word : `${path}.${word}`;
    const deeper = pathsOf(inner, limit - found.length, next);
    found.push(...(deeper.length === 0 ? [next] : deeper));
  }
  return found;
}
