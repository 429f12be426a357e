/** A call of `query` in a TypeScript source, as far as its text can be read without running it. */
export interface FoundStatement {
  /** `file:line`. */
  readonly at: string;
  /** What `query` was called on: `tx` inside a transaction, else a pool. */
  readonly receiver: string;
  /** The SQL with `x1` for each substitution; undefined where the argument is no literal. */
  readonly text: string | undefined;
  /** The argument as it stands in the source. */
  readonly expression: string;
}

/** Stands where a literal has a substitution: a name, a number in an interval and a value may all be called so. */
const SUBSTITUTE = "x1";
const MAX_ARGUMENT = 20_000;

/** Every call `….query(…)` of a source, whether its text can be read or not. */
export function statementsIn(file: string, source: string): FoundStatement[] {
  const found: FoundStatement[] = [];
  const constants = constantsOf(source);
  for (const match of source.matchAll(/([\w.]+)\s*\.query\b/g)) {
    const start = afterTypeArguments(source, match.index + match[0].length);
    if (source[start] !== "(") continue;
    const expression = firstArgument(source, start + 1);
    const line = source.slice(0, match.index).split("\n").length;
    found.push({
      at: `${file}:${line}`,
      receiver: match[1] ?? "",
      text: textOf(expression, constants),
      expression,
    });
  }
  return found;
}

/** Every literal of a source that begins like a statement: also those that reach `query` through a list or a function. */
export function literalsIn(file: string, source: string): FoundStatement[] {
  const constants = constantsOf(source);
  const found: FoundStatement[] = [];
  for (const match of source.matchAll(
    /[`"']\s*(?:CREATE|ALTER|DROP|SELECT|INSERT INTO|UPDATE|DELETE FROM|GRANT|REVOKE|BEGIN|WITH|SET) (?=[\w"$])/g,
  )) {
    const expression = source.slice(match.index, endOfLiteral(source, match.index) + 1);
    const line = source.slice(0, match.index).split("\n").length;
    found.push({ at: `${file}:${line}`, receiver: "", text: textOf(expression, constants), expression });
  }
  return found;
}

/** Text literals that a source gives a name at its top level. */
function constantsOf(source: string): ReadonlyMap<string, string> {
  const constants = new Map<string, string>();
  for (const match of source.matchAll(/^(?:export )?const (\w+) =\s*(?=[`"'])/gm)) {
    const start = match.index + match[0].length;
    const text = textOf(source.slice(start, endOfLiteral(source, start) + 1), constants);
    if (match[1] !== undefined && text !== undefined) constants.set(match[1], text);
  }
  return constants;
}

/** The text of a literal or of a constant, each `${…}` replaced; undefined for any other expression. */
function textOf(expression: string, constants: ReadonlyMap<string, string>): string | undefined {
  const named = constants.get(expression);
  if (named !== undefined) return named;
  const quote = expression[0];
  if (quote === undefined || !"`\"'".includes(quote)) return undefined;
  let text = "";
  for (let index = 1; index < expression.length; index++) {
    const character = expression[index] ?? "";
    if (character === "\\") {
      const escaped = expression[++index] ?? "";
      text += escaped === "n" ? "\n" : escaped;
    } else if (quote === "`" && expression.startsWith("${", index)) {
      const end = endOf(expression, index + 2, "}");
      text += substituted(expression.slice(index + 2, end), constants);
      index = end;
    } else if (character === quote) return index === expression.length - 1 ? text : undefined;
    else text += character;
  }
  return undefined;
}

/** A constant's text, the longer of two literals to choose from, or a name that stands for anything. */
function substituted(expression: string, constants: ReadonlyMap<string, string>): string {
  const choice = /\?\s*"([^"]*)"\s*:\s*"([^"]*)"\s*$/.exec(expression);
  if (choice !== null) return choice.slice(1).reduce((a, b) => (b.length > a.length ? b : a));
  return constants.get(expression) ?? SUBSTITUTE;
}

function afterTypeArguments(source: string, from: number): number {
  if (source[from] !== "<") return from;
  let depth = 0;
  for (let index = from; index < source.length; index++) {
    if (source[index] === "<") depth++;
    if (source[index] === ">" && source[index - 1] !== "=" && --depth === 0) return index + 1;
  }
  return from;
}

function firstArgument(source: string, from: number): string {
  const end = Math.min(endOf(source, from, ","), endOf(source, from, ")"));
  return source.slice(from, end).trim();
}

/** Index of the closing character at the same depth; what is inside of literals and brackets does not count. */
function endOf(source: string, from: number, closing: string): number {
  const limit = Math.min(source.length, from + MAX_ARGUMENT);
  let depth = 0;
  for (let index = from; index < limit; index++) {
    const character = source[index] ?? "";
    if (depth === 0 && character === closing) return index;
    if ("([{".includes(character)) depth++;
    else if (")]}".includes(character)) {
      if (depth === 0) return index;
      depth--;
    } else if ("`\"'".includes(character)) index = endOfLiteral(source, index);
  }
  return limit;
}

function endOfLiteral(source: string, from: number): number {
  const quote = source[from];
  for (let index = from + 1; index < source.length; index++) {
    if (source[index] === "\\") index++;
    else if (quote === "`" && source.startsWith("${", index)) index = endOf(source, index + 2, "}");
    else if (source[index] === quote) return index;
  }
  return source.length;
}
