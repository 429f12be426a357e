import { createInterface } from "node:readline/promises";

/** Where a command speaks and listens. */
export interface Terminal {
  /** Standard output. */
  print(text: string): void;
  /** Standard error: notes and progress. */
  note(text: string): void;
  /** Width in characters. */
  readonly columns: number;
  readonly colours: boolean;
  /** A person is there to answer. */
  readonly canAsk: boolean;
  /** True when the person agrees. */
  confirm(question: string): Promise<boolean>;
}

const DEFAULT_COLUMNS = 110;
const MIN_COLUMNS = 40;

/** The terminal of this process. Colours only for a person, and not where NO_COLOR is set. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    print: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    columns: Math.max(MIN_COLUMNS, stdout.columns ?? DEFAULT_COLUMNS),
    colours: stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb",
    canAsk: stdin.isTTY === true && stderr.isTTY === true,
    async confirm(question) {
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
      } finally {
        lines.close();
      }
    },
  };
}

const CODES = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 } as const;
export type Style = keyof typeof CODES;

/** Wraps text in a style, or gives it back as it is where there are no colours. */
export function painter(colours: boolean): (style: Style, text: string) => string {
  return (style, text) => (colours ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text);
}

/** Breaks words so that no line is wider than `columns`; every line after the first begins with `indent`. */
export function wrap(text: string, columns: number, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    const used = lines.length === 0 ? longer.length : indent.length + longer.length;
    if (line !== "" && used > columns) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].join(`\n${indent}`);
}
