import type { DialectRule } from "./rule.ts";
import { SCHEMA_RULES } from "./rules-schema.ts";
import { STATEMENT_RULES } from "./rules-statement.ts";

/** What our SQL must not say, so that it avoids the known differences between PostgreSQL and CockroachDB. */
export const DENY_LIST: readonly DialectRule[] = [...SCHEMA_RULES, ...STATEMENT_RULES];
