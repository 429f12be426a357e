/**
 * JSON with sorted object keys: equal values give equal text. What JSON cannot say (undefined, functions) is left out of
 * objects, and null elsewhere.
 */
export function canonicalJson(value: unknown): string {
  return textOf(value) ?? "null";
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const inner = textOf((value as Record<string, unknown>)[name]);
    if (inner !== undefined) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${inner}`;
  }
  return `{${text}}`;
}
