import { createHash } from "node:crypto";
import { canonicalJson } from "../../platform/canonical.ts";

/** Short stable hash of a value: object keys are sorted, so their order does not matter. 10 hex digits. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex").slice(0, 10);
}
