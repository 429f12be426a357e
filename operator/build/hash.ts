import { hash } from "node:crypto";
import { canonicalJson } from "../../platform/canonical.ts";

/** Short stable hash of a value: object keys are sorted, so their order does not matter. 10 hex digits. */
export function hashOf(value: unknown): string {
  return hash("sha256", canonicalJson(value)).slice(0, 10);
}
