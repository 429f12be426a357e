/**
 * Paths of fields of `desired` that `live` does not have with the same value, at most `limit` of them. Lists must be
 * as long; what stands beside in a map is its owner's.
 */
export function differences(live: unknown, desired: unknown, limit = 8): string[] {
  const found: string[] = [];
  compare(live, desired, "", found, limit);
  return found;
}

/** Whether there are none, without a word on where: most objects are as desired, and paths cost more than the comparison. */
export function isWithin(live: unknown, desired: unknown): boolean {
  if (live === desired || desired === undefined) return true;
  if (typeof desired !== "object" || desired === null) return false;
  if (Array.isArray(desired)) {
    if (!Array.isArray(live) || live.length !== desired.length) return false;
    for (let index = 0; index < desired.length; index++)
      if (!isWithin(live[index], desired[index])) return false;
    return true;
  }
  if (typeof live !== "object" || live === null)
    return live === undefined && Object.keys(desired).length === 0;
  for (const name of Object.keys(desired))
    if (!isWithin((live as Record<string, unknown>)[name], (desired as Record<string, unknown>)[name]))
      return false;
  return true;
}

function compare(live: unknown, desired: unknown, path: string, found: string[], limit: number): void {
  if (found.length >= limit || desired === undefined) return;
  if (Array.isArray(desired)) {
    if (!Array.isArray(live) || live.length !== desired.length) {
      found.push(path);
      return;
    }
    desired.forEach((item, index) => {
      compare(live[index], item, `${path}[${index}]`, found, limit);
    });
  } else if (typeof desired === "object" && desired !== null) {
    const entries = Object.entries(desired);
    if (typeof live !== "object" || live === null) {
      if (entries.length > 0 || live !== undefined) found.push(path);
      return;
    }
    for (const [name, value] of entries)
      compare((live as Record<string, unknown>)[name], value, join(path, name), found, limit);
  } else if (live !== desired) found.push(path);
}

function join(path: string, name: string): string {
  const step = /^[\w-]+$/.test(name) ? name : `["${name}"]`;
  return path === "" ? step : step.startsWith("[") ? path + step : `${path}.${step}`;
}
