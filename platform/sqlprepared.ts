/** More than the code has of them by far; each costs every connection some kilobytes in the server. */
const MAX_PREPARED = 1_000;

/** A statement as the driver takes it. */
export interface Prepared {
  readonly text: string;
  readonly values?: unknown[];
  readonly name?: string;
}

const names = new Map<string, string>();

/**
 * A statement with values under a name of its own, so that each connection parses it once and the server may keep its plan. A text
 * without values is mostly one of a kind and goes without; so does what comes when there are too many.
 */
export function prepared(text: string, values: readonly unknown[]): Prepared {
  if (values.length === 0) return { text };
  let name = names.get(text);
  if (name === undefined && names.size < MAX_PREPARED) {
    name = `s${names.size}`;
    names.set(text, name);
  }
  return { text, values: [...values], ...(name === undefined ? {} : { name }) };
}
