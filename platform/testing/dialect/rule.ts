import type { SqlNode } from "./parse.ts";
import { nodesOf, parseSql } from "./parse.ts";

/** How a statement reaches the database. */
export interface SqlContext {
  /** Together with others between BEGIN and COMMIT. */
  readonly inTransaction: boolean;
}

/** One thing that PostgreSQL takes and CockroachDB does not, or takes for something else. */
export interface DialectRule {
  readonly name: string;
  /** What CockroachDB does with it, since or until which version, and where that is written. */
  readonly why: string;
  readonly instead: string;
  /** A statement that the rule must refuse. */
  readonly rejected: string;
  /** One that looks like it and is fine. */
  readonly accepted: string;
  /** The examples run inside a transaction. */
  readonly inTransaction?: boolean;
  matches(node: SqlNode, context: SqlContext): boolean;
}

export interface DialectBreach {
  readonly rule: string;
  readonly statement: string;
  readonly instead: string;
}

/** What a text breaks, each rule once; throws when PostgreSQL's own grammar does not take it. */
export function breachesOf(
  text: string,
  rules: readonly DialectRule[],
  context: SqlContext = { inTransaction: false },
): DialectBreach[] {
  const nodes = parseSql(text).flatMap((statement) => [...nodesOf(statement)]);
  return rules
    .filter((rule) => nodes.some((node) => rule.matches(node, context)))
    .map(({ name, instead }) => ({ rule: name, statement: text.trim().replaceAll(/\s+/g, " "), instead }));
}
