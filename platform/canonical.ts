/**
 * JSON with sorted object keys: equal values give equal text. What JSON cannot say (undefined, functions) is left out of
 * objects, and null elsewhere.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value)) ?? "null";
}

/** A copy with sorted keys: the engine writes one as JSON faster than text can be put together here. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) {
    const inner = sorted((value as Record<string, unknown>)[name]);
    // Set plainly, this one name would be the copy's prototype; and a copy without one takes the engine twice as long.
    if (name === "__proto__") Object.defineProperty(copy, name, { value: inner, enumerable: true });
    else copy[name] = inner;
  }
  return copy;
}
