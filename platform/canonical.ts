/**
 * JSON with sorted object keys: equal values give equal text. What JSON leaves out (undefined, functions) is left out of
 * objects, and null in lists; undefined itself gives undefined.
 */
export function canonicalJson(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item) ?? "null").join(",")}]`;
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const inner = canonicalJson((value as Record<string, unknown>)[name]);
    if (inner !== undefined) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${inner}`;
  }
  return `{${text}}`;
}
