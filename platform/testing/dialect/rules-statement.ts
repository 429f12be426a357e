import { namesOf, type SqlNode } from "./parse.ts";
import type { DialectRule } from "./rule.ts";

const COMPATIBILITY = "docs v25.4, PostgreSQL compatibility";
const LIMITS = "docs v25.4, known limitations";
const GRAMMAR = "its parser's own list of syntax that is not implemented";

const kindIs =
  (...kinds: readonly string[]) =>
  ({ kind }: SqlNode) =>
    kinds.includes(kind);
const calls = (names: RegExp) => (node: SqlNode) =>
  node.kind === "FuncCall" && names.test(namesOf(node.fields.funcname).at(-1) ?? "");
const operator = ({ kind, fields }: SqlNode) =>
  kind === "A_Expr" ? (namesOf(fields.name).at(-1) ?? "") : "";

const DDL = /^(Create|Alter|Drop|Rename|Truncate|Index|Grant|Comment)\w*Stmt$/;

/** True for an operand that is surely no integer: a decimal constant, or a cast to a type with a fraction. */
function isFraction(operand: unknown): boolean {
  const { A_Const: constant, TypeCast: cast } = (operand ?? {}) as {
    A_Const?: { fval?: unknown };
    TypeCast?: { typeName?: { names?: unknown } };
  };
  return (
    constant?.fval !== undefined ||
    /^(numeric|float[48]|interval)$/.test(namesOf(cast?.typeName?.names).at(-1) ?? "")
  );
}

/** Tables that one statement writes, its CTEs included. */
function written(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(written);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const own = /^(Insert|Update|Delete)Stmt$/.test(key)
      ? [tableOf((inner as { relation?: unknown }).relation)]
      : [];
    return [...own, ...written(inner)];
  });
}

function tableOf(relation: unknown): string {
  const { schemaname = "", relname = "" } = (relation ?? {}) as { schemaname?: string; relname?: string };
  return `${schemaname}.${relname}`;
}

/** True when extract() is part of an expression and no cast is around it. */
function hasUncastExtract(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasUncastExtract);
  if (typeof value !== "object" || value === null || "TypeCast" in value) return false;
  const call = (value as { FuncCall?: { funcname?: unknown } }).FuncCall;
  return namesOf(call?.funcname).at(-1) === "extract" || Object.values(value).some(hasUncastExtract);
}

/** Differences in what a statement may say and in what it then means. */
export const STATEMENT_RULES: readonly DialectRule[] = [
  {
    name: "advisory-lock",
    why: `advisory locks do nothing or do not exist (${COMPATIBILITY})`,
    instead: "a row with a lease (platform/workerlease.ts), or SELECT FOR UPDATE of a row",
    rejected: "SELECT pg_try_advisory_xact_lock(1)",
    accepted: "SELECT id FROM lock WHERE id = 1 FOR UPDATE",
    matches: calls(/^pg_(try_)?advisory_/),
  },
  {
    name: "listen-notify",
    why: "LISTEN and NOTIFY do not exist (#41522)",
    instead: "the outbox and Kafka, or looking again",
    rejected: "NOTIFY orders, 'o-1'",
    accepted: "INSERT INTO outbox (subject) VALUES ('o-1')",
    matches: (node) => kindIs("ListenStmt", "NotifyStmt", "UnlistenStmt")(node) || calls(/^pg_notify$/)(node),
  },
  {
    name: "ddl-in-transaction",
    why: `a schema change among other statements may fail after COMMIT while the rest stands (${LIMITS})`,
    instead: "one statement for each step of a migration, without a transaction around it",
    rejected: "CREATE TABLE t (a INT8)",
    accepted: "INSERT INTO t (a) VALUES (1)",
    inTransaction: true,
    matches: ({ kind }, { inTransaction }) => inTransaction && DDL.test(kind),
  },
  {
    name: "system-column",
    why: "rows have no place and no transaction number: ctid, xmin and xmax do not exist (docs v25.4, system columns)",
    instead: "the primary key, or a version column",
    rejected: "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t LIMIT 10)",
    accepted: "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 10)",
    matches: ({ kind, fields }) =>
      kind === "ColumnRef" && /^(ctid|xmin|xmax|cmin|cmax)$/.test(namesOf(fields.fields).at(-1) ?? ""),
  },
  {
    name: "lock-table",
    why: "there are no locks of tables (docs v25.4, SQL statements: LOCK is missing)",
    instead: "SELECT FOR UPDATE of the rows, SERIALIZABLE for those that are not there",
    rejected: "LOCK TABLE t IN EXCLUSIVE MODE",
    accepted: "SELECT a FROM t FOR UPDATE",
    matches: kindIs("LockStmt"),
  },
  {
    name: "cursor",
    why: `cursors go forward only, lock nothing and forget savepoints (#77102, #77103; ${LIMITS})`,
    instead: "pages by key: WHERE id > $1 ORDER BY id LIMIT $2",
    rejected: "DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t",
    accepted: "SELECT a FROM t WHERE a > 1 ORDER BY a LIMIT 10",
    matches: kindIs("DeclareCursorStmt", "FetchStmt", "CurrentOfExpr"),
  },
  {
    name: "session-function",
    why: "no function ends another session; CANCEL SESSION does (docs v25.4, functions)",
    instead: "timeouts of the session; where it only helps, catch SQLSTATE 42883",
    rejected: "SELECT pg_terminate_backend(42)",
    accepted: "SELECT pg_backend_pid()",
    matches: calls(/^pg_(terminate|cancel)_backend$/),
  },
  {
    name: "large-object",
    why: "large objects do not exist (docs v25.4, functions)",
    instead: "BYTEA, or an object store",
    rejected: "SELECT lo_create(0)",
    accepted: "SELECT encode(body, 'hex') FROM t",
    matches: calls(/^lo_|^lo(read|write)$/),
  },
  {
    name: "xml",
    why: `there is no XML (#43355; ${COMPATIBILITY})`,
    instead: "JSONB and its operators",
    rejected: "SELECT xmlelement(name order)",
    accepted: "SELECT jsonb_build_object('order', 1)",
    matches: (node) => node.kind === "XmlExpr" || node.kind === "XmlSerialize" || calls(/^xml|^xpath/)(node),
  },
  {
    name: "sql-json",
    why: "JSON_TABLE, JSON_VALUE, JSON_EXISTS and JSON_QUERY are no part of its grammar (docs v25.4, JSONB)",
    instead: "->, ->>, @> and jsonb_array_elements",
    rejected: "SELECT JSON_VALUE(body, '$.a') FROM t",
    accepted: "SELECT body ->> 'a' FROM t",
    matches: kindIs("JsonTable", "JsonFuncExpr", "JsonObjectConstructor", "JsonArrayConstructor"),
  },
  {
    name: "integer-division",
    why: `/ of two integers gives a decimal, not an integer (${COMPATIBILITY})`,
    instead: "divide in the slice, or a cast of one side to NUMERIC or FLOAT8",
    rejected: "SELECT quantity / 2 FROM t",
    accepted: "SELECT quantity::FLOAT8 / 2 FROM t",
    matches: (node) =>
      operator(node) === "/" && !isFraction(node.fields.lexpr) && !isFraction(node.fields.rexpr),
  },
  {
    name: "bitwise-precedence",
    why: `& binds before # and | there, in PostgreSQL all three bind alike (${COMPATIBILITY})`,
    instead: "one of these operators in an expression",
    rejected: "SELECT a | b & c FROM t",
    accepted: "SELECT a & b FROM t",
    matches: (node) =>
      /^[&|#]$/.test(operator(node)) &&
      [node.fields.lexpr, node.fields.rexpr].some((side) =>
        /^[&|#]$/.test(
          namesOf((side as { A_Expr?: { name?: unknown } } | undefined)?.A_Expr?.name).at(-1) ?? "",
        ),
      ),
  },
  {
    name: "extract-type",
    why: "extract() gives a float there and numeric in PostgreSQL, which the driver hands over as text (docs v25.4, functions)",
    instead: "a cast: extract(epoch FROM at)::FLOAT8",
    rejected: "SELECT extract(epoch FROM at) FROM t",
    accepted: "SELECT extract(epoch FROM at)::FLOAT8 FROM t",
    matches: ({ kind, fields }) => kind === "ResTarget" && hasUncastExtract(fields.val),
  },
  {
    name: "collation",
    why: `strings with a collation take few operators: || of two of them is refused (#10679; ${LIMITS})`,
    instead: "plain text, sorted by its bytes",
    rejected: 'SELECT name FROM t ORDER BY name COLLATE "de_DE"',
    accepted: "SELECT name FROM t ORDER BY name",
    matches: kindIs("CollateClause"),
  },
  {
    name: "grouping-sets",
    why: `ROLLUP, CUBE and GROUPING SETS are refused (#46280; ${GRAMMAR})`,
    instead: "UNION ALL of the groupings",
    rejected: "SELECT a, sum(b) FROM t GROUP BY ROLLUP (a)",
    accepted: "SELECT a, sum(b) FROM t GROUP BY a",
    matches: kindIs("GroupingSet", "GroupingFunc"),
  },
  {
    name: "merge",
    why: "MERGE is no statement there (docs v25.4, SQL statements)",
    instead: "INSERT … ON CONFLICT DO UPDATE",
    rejected: "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DO NOTHING",
    accepted:
      "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b < excluded.b",
    matches: kindIs("MergeStmt"),
  },
  {
    name: "one-table-twice",
    why: `a statement that changes one table in two places is refused (#70731; ${LIMITS})`,
    instead: "two statements in one transaction",
    rejected: "WITH gone AS (DELETE FROM t WHERE a = 1 RETURNING b) INSERT INTO t (b) SELECT b FROM gone",
    accepted: "WITH gone AS (DELETE FROM t WHERE a = 1 RETURNING b) INSERT INTO u (b) SELECT b FROM gone",
    matches: ({ kind, fields }) => {
      if (!/^(Select|Insert|Update|Delete)Stmt$/.test(kind) || fields.withClause === undefined) return false;
      const tables = written({ [kind]: fields });
      return new Set(tables).size < tables.length;
    },
  },
  {
    name: "table-sample",
    why: "TABLESAMPLE is no part of its grammar (docs v25.4, table expressions)",
    instead: "a WHERE on a hash of the key",
    rejected: "SELECT a FROM t TABLESAMPLE SYSTEM (10)",
    accepted: "SELECT a FROM t AS s WHERE a > 1",
    matches: kindIs("RangeTableSample"),
  },
  {
    name: "with-ties",
    why: "FETCH … WITH TIES is no part of its grammar (docs v25.4, LIMIT)",
    instead: "LIMIT over a total order",
    rejected: "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
    accepted: "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS ONLY",
    matches: ({ kind, fields }) => kind === "SelectStmt" && fields.limitOption === "LIMIT_OPTION_WITH_TIES",
  },
  {
    name: "select-into",
    why: "SELECT INTO makes no table there: it is for variables of PL/pgSQL (docs v25.4, SQL feature support)",
    instead: "CREATE TABLE AS, in a step of a migration",
    rejected: "SELECT a INTO copy FROM t",
    accepted: "INSERT INTO copy SELECT a FROM t",
    matches: ({ kind, fields }) => kind === "SelectStmt" && fields.intoClause !== undefined,
  },
  {
    name: "copy-file",
    why: "COPY knows STDIN and STDOUT only, and no WHERE (#54580; docs v25.4, known limitations of COPY)",
    instead: "INSERT … SELECT FROM unnest($1::TEXT[])",
    rejected: "COPY t FROM '/tmp/rows.csv'",
    accepted: "COPY t FROM STDIN",
    matches: ({ kind, fields }) =>
      kind === "CopyStmt" && (fields.filename !== undefined || fields.whereClause !== undefined),
  },
  {
    name: "maintenance",
    why: `VACUUM, CLUSTER and REINDEX do not exist: nothing needs them (${GRAMMAR})`,
    instead: "nothing",
    rejected: "VACUUM t",
    accepted: "ANALYZE t",
    matches: ({ kind, fields }) =>
      (kind === "VacuumStmt" && fields.is_vacuumcmd === true) ||
      kind === "ReindexStmt" ||
      kind === "ClusterStmt",
  },
  {
    name: "two-phase-commit",
    why: `PREPARE TRANSACTION is refused (${COMPATIBILITY}: XA)`,
    instead: "a saga",
    rejected: "PREPARE TRANSACTION 'order'",
    accepted: "COMMIT",
    matches: ({ kind, fields }) => kind === "TransactionStmt" && /PREPARED?$/.test(String(fields.kind)),
  },
  {
    name: "server-setting",
    why: "ALTER SYSTEM does not exist: SET CLUSTER SETTING does (docs v25.4, SQL statements)",
    instead: "a setting of the session or the role",
    rejected: "ALTER SYSTEM SET work_mem = '64MB'",
    accepted: "SET LOCAL statement_timeout = '5s'",
    matches: kindIs("AlterSystemStmt"),
  },
];
