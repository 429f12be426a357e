import type { Failure } from "./problem.ts";

export type Loaded<T> = { readonly ok: true; readonly value: T } | Failure;

/**
 * Remembers what never changes once it is known, such as whose an id is. Failures are not remembered. Beyond `max` keys the one that
 * was asked for longest ago is forgotten; calls for one key that come together load once.
 */
export function createRemember<T>(
  load: (key: string) => Promise<Loaded<T>>,
  max: number,
): (key: string) => Promise<Loaded<T>> {
  const known = new Map<string, T>();
  const loading = new Map<string, Promise<Loaded<T>>>();

  function keep(key: string, value: T): void {
    known.delete(key);
    known.set(key, value);
    if (known.size <= max) return;
    const [oldest] = known.keys();
    if (oldest !== undefined) known.delete(oldest);
  }

  return async (key) => {
    if (known.has(key)) {
      const value = known.get(key) as T;
      keep(key, value);
      return { ok: true, value };
    }
    const underWay = loading.get(key);
    if (underWay) return underWay;
    const loaded = load(key).then((result) => {
      if (result.ok) keep(key, result.value);
      return result;
    });
    loading.set(key, loaded);
    try {
      return await loaded;
    } finally {
      loading.delete(key);
    }
  };
}
