import { namesOf, type SqlNode } from "./parse.ts";
import type { DialectRule } from "./rule.ts";

const COMPATIBILITY = "docs v25.4, PostgreSQL compatibility";
const FEATURES = "docs v25.4, SQL feature support";
const GRAMMAR = "its parser's own list of syntax that is not implemented";

const kindIs =
  (...kinds: readonly string[]) =>
  ({ kind }: SqlNode) =>
    kinds.includes(kind);
const constraint =
  (test: (fields: Readonly<Record<string, unknown>>) => boolean) =>
  ({ kind, fields }: SqlNode) =>
    kind === "Constraint" && test(fields);
const typeOf = ({ fields }: SqlNode): string =>
  namesOf((fields.typeName as { names?: unknown } | undefined)?.names).at(-1) ?? "";
/** Columns and casts name types. */
const typed = (names: RegExp) => (node: SqlNode) =>
  (node.kind === "ColumnDef" || node.kind === "TypeCast") && names.test(typeOf(node));

/** Differences in what tables, types and rights may be. */
export const SCHEMA_RULES: readonly DialectRule[] = [
  {
    name: "serial",
    why: `SERIAL is unique_rowid(): not 1, 2, 3, and too large for a JavaScript number (${FEATURES}: alternative)`,
    instead: "UUID DEFAULT gen_random_uuid(), or a key that the caller makes",
    rejected: "CREATE TABLE t (id SERIAL PRIMARY KEY)",
    accepted: "CREATE TABLE t (id UUID DEFAULT gen_random_uuid() PRIMARY KEY)",
    matches: typed(/^(big|small)?serial[248]?$/),
  },
  {
    name: "identity",
    why: "an identity column is a sequence: every insert meets at one range of the cluster (docs v25.4, CREATE SEQUENCE)",
    instead: "UUID DEFAULT gen_random_uuid()",
    rejected: "CREATE TABLE t (id INT8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
    accepted: "CREATE TABLE t (id INT8 PRIMARY KEY, twice INT8 GENERATED ALWAYS AS (id * 2) STORED)",
    matches: constraint(({ contype }) => contype === "CONSTR_IDENTITY"),
  },
  {
    name: "int-width",
    why: "INT and INTEGER have 64 bits, so a driver gets another type than from PostgreSQL (docs v25.4, INT)",
    instead: "INT8, in every table and every cast",
    rejected: "CREATE TABLE t (n INTEGER)",
    accepted: "CREATE TABLE t (n INT8)",
    matches: typed(/^(int4|int2)$/),
  },
  {
    name: "json-text",
    why: "JSON is another name for JSONB: spaces, order and repeated keys are lost (docs v25.4, JSONB)",
    instead: "JSONB, or TEXT where the text itself matters",
    rejected: "CREATE TABLE t (body JSON)",
    accepted: "CREATE TABLE t (body JSONB)",
    matches: typed(/^json$/),
  },
  {
    name: "missing-type",
    why: `these types do not exist there (${GRAMMAR}; ${COMPATIBILITY}: range types, XML)`,
    instead: "INT8 in minor units for money, two columns for a range or a point, TEXT for the rest",
    rejected: "CREATE TABLE t (price MONEY)",
    accepted: "CREATE TABLE t (price INT8, address INET)",
    matches: typed(
      /^(money|xml|cidr|macaddr8?|point|line|lseg|box|path|polygon|circle|hstore|(int[48]|num|ts|tstz|date)(multi)?range)$/,
    ),
  },
  {
    name: "array-of-arrays",
    why: `arrays have one dimension (#32552; ${GRAMMAR})`,
    instead: "a table of its own, or JSONB",
    rejected: "CREATE TABLE t (grid INT8[][])",
    accepted: "CREATE TABLE t (row INT8[])",
    matches: ({ kind, fields }) =>
      kind === "ColumnDef" &&
      ((fields.typeName as { arrayBounds?: unknown[] } | undefined)?.arrayBounds?.length ?? 0) > 1,
  },
  {
    name: "domain",
    why: `CREATE DOMAIN is refused (#27796; ${COMPATIBILITY})`,
    instead: "a CHECK on the column",
    rejected: "CREATE DOMAIN amount AS INT8 CHECK (VALUE >= 0)",
    accepted: "CREATE TABLE t (amount INT8 CHECK (amount >= 0))",
    matches: kindIs("CreateDomainStmt", "AlterDomainStmt"),
  },
  {
    name: "range-type",
    why: `range types cannot be made (#27791; ${COMPATIBILITY})`,
    instead: "two columns",
    rejected: "CREATE TYPE span AS RANGE (subtype = float8)",
    accepted: "CREATE TYPE colour AS ENUM ('red', 'green')",
    matches: kindIs("CreateRangeStmt"),
  },
  {
    name: "exclusion-constraint",
    why: `EXCLUDE is refused (#46657; ${GRAMMAR})`,
    instead: "a UNIQUE constraint, or a check in a SERIALIZABLE transaction",
    rejected: "CREATE TABLE t (room TEXT, EXCLUDE USING gist (room WITH =))",
    accepted: "CREATE TABLE t (room TEXT, UNIQUE (room))",
    matches: constraint(({ contype }) => contype === "CONSTR_EXCLUSION"),
  },
  {
    name: "deferrable-constraint",
    why: `constraints are checked at once, DEFERRABLE is refused (#31632; ${GRAMMAR})`,
    instead: "write in an order in which every statement leaves the constraint true",
    rejected: "CREATE TABLE t (a INT8 REFERENCES u (a) DEFERRABLE INITIALLY DEFERRED)",
    accepted: "CREATE TABLE t (a INT8 REFERENCES u (a) ON DELETE CASCADE)",
    matches: (node) =>
      node.kind === "ConstraintsSetStmt" ||
      constraint(({ deferrable, initdeferred, contype }) =>
        Boolean(deferrable || initdeferred || /^CONSTR_ATTR_(DEFERRABLE|DEFERRED)$/.test(String(contype))),
      )(node),
  },
  {
    name: "nulls-not-distinct",
    why: "UNIQUE NULLS NOT DISTINCT is no part of its grammar (docs v25.4, UNIQUE constraint)",
    instead: "a NOT NULL column with a value that means nothing",
    rejected: "CREATE TABLE t (a INT8, UNIQUE NULLS NOT DISTINCT (a))",
    accepted: "CREATE TABLE t (a INT8 NOT NULL, UNIQUE (a))",
    matches: ({ kind, fields }) =>
      (kind === "Constraint" || kind === "IndexStmt") && fields.nulls_not_distinct === true,
  },
  {
    name: "inheritance",
    why: `tables do not inherit (#22456; ${GRAMMAR})`,
    instead: "one table with a column that says the kind",
    rejected: "CREATE TABLE t (b INT8) INHERITS (u)",
    accepted: "CREATE TABLE t (LIKE u)",
    matches: ({ kind, fields }) =>
      kind === "CreateStmt" && fields.inhRelations !== undefined && fields.partbound === undefined,
  },
  {
    name: "partitioning",
    why: "partitions are declared inside of the table, with another syntax (docs v25.4, table partitioning)",
    instead: "a plain table: ranges split by themselves",
    rejected: "CREATE TABLE t (at DATE) PARTITION BY RANGE (at)",
    accepted: "CREATE TABLE t (at DATE, PRIMARY KEY (at))",
    matches: ({ kind, fields }) =>
      kind === "CreateStmt" && (fields.partspec !== undefined || fields.partbound !== undefined),
  },
  {
    name: "temporary-table",
    why: "temporary tables are off unless a session turns an experimental setting on (docs v25.4, temporary tables)",
    instead: "unnest() over parameters, or a CTE",
    rejected: "CREATE TEMP TABLE t (a INT8)",
    accepted: "CREATE TABLE t (a INT8)",
    matches: ({ kind, fields }) =>
      (kind === "CreateStmt" &&
        (fields.relation as { relpersistence?: string } | undefined)?.relpersistence === "t") ||
      (kind === "IntoClause" && (fields.rel as { relpersistence?: string })?.relpersistence === "t"),
  },
  {
    name: "index-method",
    why: `indexes are B-trees or inverted ones: hash, BRIN and SP-GiST are refused, GiST is for geometry (${FEATURES})`,
    instead: "an index without USING, or USING gin on JSONB and arrays",
    rejected: "CREATE INDEX i ON t USING hash (a)",
    accepted: "CREATE INDEX i ON t USING gin (a)",
    matches: ({ kind, fields }) =>
      kind === "IndexStmt" &&
      !["btree", "gin", undefined].includes(fields.accessMethod as string | undefined),
  },
  {
    name: "index-nulls-order",
    why: `NULLs come first in every index; another order is refused (#6224; ${GRAMMAR})`,
    instead: "a NOT NULL column",
    rejected: "CREATE INDEX i ON t (a ASC NULLS LAST)",
    accepted: "CREATE INDEX i ON t (a DESC)",
    matches: ({ kind, fields }) =>
      kind === "IndexElem" && !["SORTBY_NULLS_DEFAULT", undefined].includes(fields.nulls_ordering as string),
  },
  {
    name: "column-privilege",
    why: `rights are given on whole tables (${COMPATIBILITY}: column-level privileges)`,
    instead: "a right on the table, or a table of its own for the column",
    rejected: "GRANT UPDATE (guard) ON lease TO orders",
    accepted: "GRANT UPDATE ON lease TO orders",
    matches: ({ kind, fields }) => kind === "AccessPriv" && fields.cols !== undefined,
  },
  {
    name: "role-attribute",
    why: "SUPERUSER, REPLICATION, INHERIT and CONNECTION LIMIT are no options of a role (docs v25.4, CREATE ROLE)",
    instead: "LOGIN, PASSWORD, CREATEROLE, CREATEDB and membership",
    rejected: "CREATE ROLE r LOGIN CONNECTION LIMIT 5",
    accepted: "CREATE ROLE r LOGIN PASSWORD 'p'",
    matches: ({ kind, fields }) =>
      kind === "DefElem" &&
      /^(superuser|isreplication|inherit|connectionlimit)$/.test(String(fields.defname)),
  },
  {
    name: "database-option",
    why: `a database is not made from a template or dropped by force (${COMPATIBILITY}; docs v25.4, DROP DATABASE)`,
    instead: "CREATE DATABASE with an owner alone; end the sessions, then DROP DATABASE",
    rejected: "CREATE DATABASE d TEMPLATE other",
    accepted: "CREATE DATABASE d OWNER r",
    matches: ({ kind, fields }) =>
      (kind === "CreatedbStmt" || kind === "DropdbStmt") &&
      ((fields.options ?? []) as { DefElem?: { defname?: string } }[]).some(
        ({ DefElem }) => DefElem?.defname !== "owner" && DefElem?.defname !== "encoding",
      ),
  },
  {
    name: "alter-column-type",
    why: "a conversion that rewrites the table is refused in a transaction and beside indexes on the column (docs v25.4, ALTER TABLE)",
    instead: "add a column, fill it, and stop using the old one",
    rejected: "ALTER TABLE t ALTER COLUMN a TYPE TEXT",
    accepted: "ALTER TABLE t ADD COLUMN IF NOT EXISTS b TEXT",
    matches: ({ kind, fields }) => kind === "AlterTableCmd" && fields.subtype === "AT_AlterColumnType",
  },
  {
    name: "stored-code",
    why: "functions, triggers and DO blocks take part of PL/pgSQL only: no statement-level triggers, no OR REPLACE (docs v25.4, known limitations)",
    instead: "the rule in the slice, and a CHECK as the last line",
    rejected: "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    accepted: "CREATE TABLE t (a INT8 CHECK (a >= 0))",
    matches: kindIs("CreateFunctionStmt", "CreateTrigStmt", "DoStmt", "CreateEventTrigStmt", "CallStmt"),
  },
  {
    name: "missing-object",
    why: `these kinds of objects do not exist there (${GRAMMAR}; ${COMPATIBILITY}: foreign data wrappers)`,
    instead: "nothing of the kind belongs in a shard",
    rejected: "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
    accepted: "CREATE SEQUENCE s",
    matches: kindIs(
      ...["RuleStmt", "CreateFdwStmt", "CreateForeignServerStmt", "CreateForeignTableStmt", "CreateCastStmt"],
      ...["CreateTableSpaceStmt", "CreatePublicationStmt", "CreateSubscriptionStmt", "CreatePLangStmt"],
      ...["CreateExtensionStmt", "CreateAmStmt", "CreateOpClassStmt", "CreateConversionStmt", "DefineStmt"],
    ),
  },
];
