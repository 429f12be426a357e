import { hash } from "node:crypto";
import { canonicalJson } from "../../platform/canonical.ts";

/** Short stable hash of a value: object keys are sorted, so their order does not matter. 10 hex digits. */
export function hashOf(value: unknown): string {
  return hashOfText(canonicalJson(value));
}

/** The same for a value that is canonical JSON already. */
export function hashOfText(canonical: string): string {
  return hash("sha256", canonical).slice(0, 10);
}
