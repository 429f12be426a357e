import { deepFreeze, type KubeObject } from "./objects.ts";

/** Different texts remembered: what every namespace has alike is few; beyond that sharing begins anew. */
const MAX_TEXTS = 4_000;

/**
 * Makes what packs objects for local copies that hold many and read few of their fields. A packed object is the same with `spec` kept as
 * JSON text, which takes a fraction of the memory, once for all objects that have the same, and parsed when somebody reads it; what was
 * read stays for as long as somebody holds it. It is frozen as all of the object is; `{ ...object }` and JSON have a spec as that of any
 * other object.
 */
export function createPacker(maxTexts = MAX_TEXTS): <T extends KubeObject>(object: T) => T {
  const texts = new Map<string, string>();
  const shared = (text: string) => {
    const known = texts.get(text);
    if (known !== undefined) return known;
    if (texts.size >= maxTexts) texts.clear();
    texts.set(text, text);
    return text;
  };
  return <T extends KubeObject>(object: T): T => {
    const { spec, ...others } = object;
    if (typeof spec !== "object" || spec === null) return object;
    const text = shared(JSON.stringify(spec));
    // Frozen here and not by the store, which would read the spec for it.
    deepFreeze(Object.values(others));
    let kept: WeakRef<object> | undefined;
    const get = () => {
      const known = kept?.deref();
      if (known !== undefined) return known;
      const value = deepFreeze(JSON.parse(text) as object);
      kept = new WeakRef(value);
      return value;
    };
    return Object.freeze(Object.defineProperty(others, "spec", { enumerable: true, get })) as unknown as T;
  };
}
