import type { KubeObject } from "../../platform/kube/objects.ts";
import type { FakeStorage } from "../../platform/kube/testing/fakestorage.ts";
import { ANNOTATIONS } from "../api/names.ts";

/** Only tells about the run, or moves all the time. */
const SKIPPED = new Set(["events.events.k8s.io", "leases.coordination.k8s.io"]);
/** What differs from run to run without meaning anything. */
const INCIDENTAL = new Set([
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
  "generation",
  "observedGeneration",
  "managedFields",
  "lastTransitionTime",
  "startTime",
  "startedAt",
  "finishedAt",
  "version",
  ANNOTATIONS.rotatedAt,
]);

/**
 * Everything that a cluster holds, as lines that are the same for two runs that came to the same end: uids become the names
 * of their objects, epochs their rank, hashes and secret words what they are.
 */
export function endState(storage: FakeStorage): string[] {
  const objects = storage
    .collections()
    .filter((collection) => !SKIPPED.has(collection))
    .flatMap((collection) => storage.list(collection));
  const known = new Map<string, string>();
  for (const { kind, metadata } of objects)
    known.set(metadata.uid ?? "", `<uid of ${kind} ${withoutHash(metadata.name)}>`);
  const epochs = [...epochsIn(objects)].sort((a, b) => a - b);
  for (const [rank, epoch] of epochs.entries()) known.set(String(epoch), `<epoch ${rank + 1}>`);
  return objects.flatMap((object) => linesOf(object, known)).sort();
}

function linesOf(object: KubeObject, known: ReadonlyMap<string, string>): string[] {
  const { metadata, kind } = object;
  const title = [metadata.namespace, `${kind}/${withoutHash(metadata.name)}`].filter(Boolean).join(" ");
  const shown = kind === "Secret" ? { ...object, data: Object.keys((object.data as object) ?? {}) } : object;
  const lines: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) {
      lines.push(`${title} ${path}: ${plain(String(value), known)}`);
      return;
    }
    for (const [name, inner] of Object.entries(value))
      if (!INCIDENTAL.has(name))
        walk(inner, path === "" ? plain(name, known) : `${path}.${plain(name, known)}`);
  };
  walk(shown, "");
  return lines;
}

function plain(text: string, known: ReadonlyMap<string, string>): string {
  const whole = known.get(text);
  if (whole !== undefined) return whole;
  return text
    .replace(/uid-\d+-\d+/g, (uid) => known.get(uid) ?? "<uid of something that is gone>")
    .replace(/"(x|y|kid|d)":"[^"]*"/g, '"$1":"<key>"')
    .replace(/\b\d{10}\b/g, (epoch) => known.get(epoch) ?? epoch)
    .replace(/^[A-Za-z0-9_-]{22}$|^[0-9a-f]{8,64}$/, "<hash>")
    .replace(/-[0-9a-f]{8,10}(?=-\d|$|\b)/g, "-<hash>");
}

function withoutHash(name: string): string {
  return name.replace(/-[0-9a-f]{8,10}(-\d+)?$/, "-<hash>");
}

function epochsIn(objects: readonly KubeObject[]): Set<number> {
  const found = new Set<number>();
  const walk = (value: unknown, name: string): void => {
    if (typeof value === "number" && /epoch$/i.test(name)) found.add(value);
    if (typeof value === "object" && value !== null)
      for (const [inner, each] of Object.entries(value)) walk(each, inner);
  };
  for (const object of objects) walk(object, "");
  return found;
}

/** Lines that only one of two end states has, at most `limit`. */
export function differences(expected: readonly string[], found: readonly string[], limit = 12): string[] {
  const [wanted, there] = [new Set(expected), new Set(found)];
  const lines = [
    ...expected.filter((line) => !there.has(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !wanted.has(line)).map((line) => `in excess: ${line}`),
  ];
  return lines.length > limit ? [...lines.slice(0, limit), `and ${lines.length - limit} more`] : lines;
}
