import { beforeAll, describe, expect, it } from "vitest";
import { loadGrammar, parseSql, type SqlNode } from "../platform/testing/dialect/parse.ts";
import { allMigrations } from "./provision.ts";

/**
 * While a release rolls out, and after it was set back, pods of the release before write to the new schema. So a migration
 * only adds: what a release no longer needs is taken away by a later one, when nothing that uses it can run any more.
 */

/** Indexes that refuse a second row although their table is older, each with the reason why that narrows nothing. */
const LAST_LINES: Readonly<Record<string, string>> = {
  assignment_one_per_order:
    "the service keeps to it; a second row would be a fault of the release that writes it",
  assignment_one_per_courier: "the same",
  pick_list_by_barcode: "the same",
};

/** Why the release before could not live with a statement; undefined when it can. */
function narrowing({ kind, fields }: SqlNode, made: ReadonlySet<string> = new Set()): string | undefined {
  switch (kind) {
    case "CreateStmt":
    case "InsertStmt":
      return undefined;
    case "IndexStmt":
      return fields.unique === true &&
        !made.has(tableOf(fields)) &&
        LAST_LINES[String(fields.idxname)] === undefined
        ? `unique index ${String(fields.idxname)} refuses rows that were right`
        : undefined;
    case "DropStmt":
      return fields.removeType === "OBJECT_INDEX" ? undefined : `drops ${String(fields.removeType)}`;
    case "AlterTableStmt":
      return (fields.cmds as { AlterTableCmd: AlterCommand }[])
        .map(({ AlterTableCmd }) => narrowingCommand(AlterTableCmd))
        .find((why) => why !== undefined);
    default:
      return `${kind} is not known to be safe`;
  }
}

function tableOf(fields: SqlNode["fields"]): string {
  return String((fields.relation as { relname?: string } | undefined)?.relname);
}

interface AlterCommand {
  readonly subtype?: string;
  readonly name?: string;
  readonly def?: { readonly ColumnDef?: { readonly constraints?: { Constraint: { contype: string } }[] } };
}

const WIDENING = new Set(["AT_SetRelOptions", "AT_ResetRelOptions", "AT_DropNotNull", "AT_ColumnDefault"]);

function narrowingCommand({ subtype = "", name, def }: AlterCommand): string | undefined {
  if (WIDENING.has(subtype)) return undefined;
  if (subtype !== "AT_AddColumn") return `${subtype} ${name ?? ""}`.trim();
  const constraints = (def?.ColumnDef?.constraints ?? []).map(({ Constraint }) => Constraint.contype);
  const others = constraints.filter(
    (type) => !["CONSTR_NOTNULL", "CONSTR_NULL", "CONSTR_DEFAULT"].includes(type),
  );
  if (others.length > 0) return `a new column with ${others.join()}`;
  return constraints.includes("CONSTR_NOTNULL") && !constraints.includes("CONSTR_DEFAULT")
    ? "a new column that must be given and has no default"
    : undefined;
}

beforeAll(loadGrammar);

describe("migrations", () => {
  it("only add to the schema: the release before goes on working on it", async () => {
    const migrations = await allMigrations();
    expect(migrations.flatMap(({ statements }) => statements).length).toBeGreaterThan(60);
    const found = migrations.flatMap(({ name, statements }) => {
      const nodes = statements.flatMap((text) => parseSql(text));
      const made = new Set(
        nodes.filter(({ kind }) => kind === "CreateStmt").map(({ fields }) => tableOf(fields)),
      );
      return nodes.flatMap((node) => {
        const why = narrowing(node, made);
        return why === undefined ? [] : [`${name}: ${why}`];
      });
    });
    expect(found).toEqual([]);
  });

  it.each([
    "DROP TABLE orders.orders",
    "ALTER TABLE orders.orders DROP COLUMN sub",
    "ALTER TABLE orders.orders RENAME COLUMN sub TO subject",
    "ALTER TABLE orders.orders RENAME TO o",
    "ALTER TABLE orders.orders ALTER COLUMN sub TYPE INT8",
    "ALTER TABLE orders.orders ALTER COLUMN sub SET NOT NULL",
    "ALTER TABLE orders.orders ADD COLUMN more TEXT NOT NULL",
    "ALTER TABLE orders.orders ADD COLUMN more TEXT DEFAULT 'a' CHECK (more <> '')",
    "ALTER TABLE orders.orders ADD CONSTRAINT positive CHECK (total > 0)",
    "CREATE UNIQUE INDEX once ON orders.orders (sub)",
    "TRUNCATE orders.orders",
    "DELETE FROM orders.orders",
    "ALTER TABLE orders.orders ADD COLUMN fine TEXT, DROP COLUMN sub",
  ])("would be refused: %s", (text) => {
    expect(parseSql(text).map((node) => narrowing(node))).not.toContain(undefined);
  });

  it.each([
    "ALTER TABLE orders.orders ADD COLUMN more TEXT",
    "ALTER TABLE orders.orders ADD COLUMN more TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE orders.orders ALTER COLUMN sub DROP NOT NULL",
    "CREATE INDEX by_sub ON orders.orders (sub)",
  ])("may say: %s", (text) => {
    expect(parseSql(text).map((node) => narrowing(node))).toEqual([undefined]);
  });
});
