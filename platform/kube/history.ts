import type { KubeObject } from "./objects.ts";

/**
 * Whether somebody is going to read an object's `managedFields`; a function tells it by the names of the managers in them. They are
 * nearly half of what the API server sends, and half of the time that parsing it takes.
 */
export type HistoryReaders = boolean | ((managers: readonly string[]) => boolean);

const BEGIN = '"managedFields":[';
/** Each entry is an object, and no entry has a list in it. */
const END = "}]";
const CUT = '"managedFields":[]';
/** No field of a set is called by these: they begin with `f:`, `k:`, `v:` or `i:`. */
const MANAGER = /"manager":"((?:[^"\\]|\\.)*)"/g;
const ENTRY = /"fieldsType":"/g;

/**
 * Parses the JSON of an object, or of something with one at `object`, and leaves its `managedFields` empty when nobody is going to read
 * them. Throws SyntaxError where JSON.parse does.
 */
export function parseWithout<T>(
  text: string,
  objectOf: (parsed: T) => KubeObject | undefined,
  isRead: HistoryReaders,
): T {
  if (isRead === true) return JSON.parse(text) as T;
  const begin = text.indexOf(BEGIN);
  const end = begin < 0 ? -1 : text.indexOf(END, begin);
  if (end < 0) return JSON.parse(text) as T;
  if (isRead !== false && isRead(managersIn(text.slice(begin, end)))) return JSON.parse(text) as T;
  return (
    parseCut(text.slice(0, begin) + CUT + text.slice(end + END.length), objectOf) ?? (JSON.parse(text) as T)
  );
}

/** Names as JSON writes them; a manager without one is "". */
function managersIn(history: string): string[] {
  const names = Array.from(history.matchAll(MANAGER), ([, name = ""]) => name);
  const entries = history.match(ENTRY)?.length ?? 0;
  return names.length < entries ? [...names, ""] : names;
}

/**
 * What was cut is the object's own only if it has none now: a pod template may have a history too. When `}]` stood inside of a name, the
 * rest of that name stands where no name may, and is no JSON.
 */
function parseCut<T>(text: string, objectOf: (parsed: T) => KubeObject | undefined): T | undefined {
  try {
    const parsed = JSON.parse(text) as T;
    return objectOf(parsed)?.metadata?.managedFields?.length === 0 ? parsed : undefined;
  } catch {
    return undefined;
  }
}
