import type { SliceName } from "./slices.ts";

/**
 * Credentials of a cell are numbered. A slice has two login roles and uses them in turn, so that the old one serves until
 * nobody uses it any more: even generations log in as the slice's own role, odd ones as a member of it. `prefix` begins the
 * names of roles on a server that cells share.
 */
export function roleOf(slice: SliceName, generation: number, prefix = ""): string {
  return generation % 2 === 0 ? `${prefix}${slice}` : `${prefix}${slice}_b`;
}

/** What an entry of a Secret is called in a generation; the first one has the plain name. */
export function numbered(name: string, generation: number): string {
  return generation === 0 ? name : `${name}-${generation}`;
}

/** File of a cell's signing key in a generation. */
export function cellKeyFile(generation: number): string {
  return `${numbered("cell-key", generation)}.jwk`;
}

/** File beside the keys of trust: the secrets that the processor may sign its webhooks with, one a line, the old one too while they change. */
export const WEBHOOK_SECRETS = "processor-webhooks";

/** The public half of a private JWK of an elliptic curve (RFC 7518, 6.2.2). */
export function publicHalf<K extends object>(jwk: K & { readonly d?: unknown }): Omit<K, "d"> {
  const { d: _secret, ...rest } = jwk;
  return rest;
}
