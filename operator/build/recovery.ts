import type { KubeObject } from "../../platform/kube/objects.ts";
import { type Cell, metadata } from "./cell.ts";

/** Secret that holds a copy of every other one that we made for the cell. */
export const RECOVERY = "recovery";
/** Secrets whose content nobody can make again: the database, the cache and stored contacts depend on it. */
export const IRREPLACEABLE = ["database", "cache", "trust"] as const;

/**
 * The copy from which a deleted Secret is made again. Passwords are in force in the database, so a new one would help nobody. It is
 * written before what it is a copy of, so that a word that is in use is always in both or can be taken from one.
 */
export function buildRecovery(cell: Cell, secrets: readonly KubeObject[]): KubeObject {
  const data = Object.fromEntries(
    secrets.flatMap((secret) =>
      Object.entries((secret.data ?? {}) as Record<string, string>).map(([key, value]) => [
        `${secret.metadata.name}.${key}`,
        value,
      ]),
    ),
  );
  return { apiVersion: "v1", kind: "Secret", metadata: metadata(cell, RECOVERY), type: "Opaque", data };
}

/** Fills in from the copy what is missing; what a Secret says itself counts. */
export function recovered(
  found: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Record<string, Record<string, string>> {
  const { [RECOVERY]: copy = {}, ...rest } = found;
  const result: Record<string, Record<string, string>> = {};
  for (const [path, value] of Object.entries(copy)) {
    const dot = path.indexOf(".");
    const name = path.slice(0, dot);
    if (dot <= 0) continue;
    result[name] ??= {};
    result[name][path.slice(dot + 1)] = value;
  }
  for (const [name, own] of Object.entries(rest)) result[name] = { ...result[name], ...own };
  return result;
}
