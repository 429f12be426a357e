import { loadModule, parseSync } from "libpg-query";

/** One node of a parse tree as PostgreSQL's own grammar makes it: `{ SelectStmt: { ... } }` is kind and fields. */
export interface SqlNode {
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Must be awaited once before anything is parsed: the grammar is WebAssembly. */
export function loadGrammar(): Promise<void> {
  return loadModule();
}

/** The statements of a text; throws the grammar's own sentence on anything else. */
export function parseSql(text: string): SqlNode[] {
  const { stmts = [] } = parseSync(text) as { stmts?: { stmt?: Record<string, unknown> }[] };
  return stmts.map(({ stmt = {} }) => {
    const [kind = "", fields = {}] = Object.entries(stmt)[0] ?? [];
    return { kind, fields: fields as Record<string, unknown> };
  });
}

/** Every node of a statement, the statement itself first. */
export function* nodesOf(root: SqlNode): Generator<SqlNode> {
  yield root;
  yield* inside(root.fields);
}

function* inside(value: unknown): Generator<SqlNode> {
  if (Array.isArray(value)) {
    for (const item of value) yield* inside(item);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    // Kinds of nodes begin with a capital letter, names of fields do not.
    if (/^[A-Z]/.test(key) && typeof inner === "object" && inner !== null && !Array.isArray(inner))
      yield { kind: key, fields: inner as Record<string, unknown> };
    yield* inside(inner);
  }
}

/** The texts of a list of String nodes, such as the parts of a qualified name. */
export function namesOf(list: unknown): string[] {
  return Array.isArray(list)
    ? list.flatMap((item) => {
        const text = (item as { String?: { sval?: string } }).String?.sval;
        return text === undefined ? [] : [text];
      })
    : [];
}
