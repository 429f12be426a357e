import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { allMigrations } from "./cell/provision.ts";
import { readMigrations } from "./platform/migrate.ts";
import { loadGrammar, parseSql } from "./platform/testing/dialect/parse.ts";
import { breachesOf } from "./platform/testing/dialect/rule.ts";
import { DENY_LIST } from "./platform/testing/dialect/rules.ts";
import { type FoundStatement, literalsIn, statementsIn } from "./platform/testing/dialect/source.ts";

/** Our SQL avoids the known differences between PostgreSQL and CockroachDB: no statement breaks a rule of the deny-list. */
const ROOT = import.meta.dirname;

/** Statements that do break a rule, and what makes that right. */
const EXEMPT: Readonly<Record<string, { readonly rule: string; readonly why: string }>> = {
  pg_terminate_backend: {
    rule: "session-function",
    why: "it only makes fencing quicker: SQLSTATE 42883 (no such function) is caught, and the epoch fences",
  },
  "WITH (FORCE)": {
    rule: "database-option",
    why: "said to PostgreSQL only",
  },
  "GRANT UPDATE (guard)": {
    rule: "column-privilege",
    why: "said to PostgreSQL only; CockroachDB is given the right on the whole table",
  },
};

/** Calls whose argument is no text that can be read where it stands, and what they run. */
const UNREADABLE: Readonly<Record<string, string>> = {
  "cell/inventory/reconcile.ts driftQuery(FOLD_ALL)": "the literal in driftQuery",
  "cell/inventory/reconcile.ts driftQuery(FOLD_SINCE_CHECKPOINT)": "the literal in driftQuery",
  "platform/migrate.ts statement": "LEDGER, and the migrations",
  "platform/provision.ts statement": "the literals in grant",
  "platform/sqltransaction.ts prepared(text, values)": "passes on what its callers say",
  "platform/sql.ts prepared(text, values)": "passes on what its callers say",
  "platform/sqltransaction.ts start": "the literal in begin",
  "region/gateway/pins.ts statement": "SCHEMA",
  "region/psp-sandbox/server.ts statement": "its migrations",
};

/** Texts that the grammar takes only with a real value in them. */
const WITH_VALUES: readonly (readonly [RegExp, string])[] = [
  [/(ROLE x1 (?:LOGIN )?PASSWORD) x1$/, "$1 'secret'"],
  [/FROM \(x1\) AS folded/, "FROM (SELECT 1) AS folded"],
  [/^x1; SELECT/, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT"],
];

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter(
    (file) =>
      existsSync(join(ROOT, file)) &&
      /^(cell|platform|region)\//.test(file) &&
      !/\.\w*test\.ts$|\/testing\//.test(file),
  );
const sources = files.map((file) => [file, readFileSync(join(ROOT, file), "utf8")] as const);
const called = sources.flatMap(([file, text]) => statementsIn(file, text));
const written = sources
  .filter(([, text]) => /\bquery\b|\bSTATEMENTS?\b|Statements\b/.test(text))
  .flatMap(([file, text]) => literalsIn(file, text));

const readable = (found: readonly FoundStatement[]) =>
  found.flatMap(({ at, receiver, text }) => {
    if (text === undefined) return [];
    const filled = WITH_VALUES.reduce((sql, [pattern, value]) => sql.replace(pattern, value), text.trim());
    return [{ at, text: filled, inTransaction: /(^|\.)tx$/.test(receiver) }];
  });

function breachesIn(statements: readonly { at: string; text: string; inTransaction: boolean }[]): string[] {
  return statements.flatMap(({ at, text, inTransaction }) => {
    const exempt = Object.entries(EXEMPT).find(([part]) => text.includes(part))?.[1].rule;
    return breachesOf(text, DENY_LIST, { inTransaction })
      .filter(({ rule }) => rule !== exempt)
      .map(({ rule, statement, instead }) => `${at}: ${rule}: ${statement.slice(0, 120)}; write ${instead}`);
  });
}

beforeAll(loadGrammar);

describe("our SQL avoids the known differences of CockroachDB", () => {
  it("in every step of every migration", async () => {
    const migrations = [
      ...(await allMigrations()),
      ...(await readMigrations("psp", join(ROOT, "region/psp-sandbox/schema"))),
    ];
    const steps = migrations.flatMap(({ name, statements }) =>
      statements.map((text, index) => ({
        at: `${name}, statement ${index + 1}`,
        text,
        inTransaction: false,
      })),
    );
    expect(steps.length).toBeGreaterThan(100);
    expect(breachesIn(steps)).toEqual([]);
    // Each step is one statement: two of them would be one implicit transaction.
    expect(steps.filter(({ text }) => parseSql(text).length !== 1).map(({ at }) => at)).toEqual([]);
  });

  it("in every call of query", () => {
    expect(readable(called).length).toBeGreaterThan(150);
    expect(breachesIn(readable(called))).toEqual([]);
  });

  it("in every text that begins like a statement, however it comes to a query", () => {
    expect(readable(written).length).toBeGreaterThan(150);
    expect(breachesIn(readable(written))).toEqual([]);
  });

  it("and knows of every call that cannot be read where it stands", () => {
    const unreadable = called
      .filter(({ text }) => text === undefined)
      .map(({ at, expression }) => `${at.replace(/:\d+$/, "")} ${expression}`);
    expect([...new Set(unreadable)].sort()).toEqual(Object.keys(UNREADABLE).sort());
  });

  it("and exempts nothing that is not there", () => {
    const texts = [...called, ...written].map(({ expression }) => expression).join("\n");
    expect(Object.keys(EXEMPT).filter((part) => !texts.includes(part))).toEqual([]);
  });
});
