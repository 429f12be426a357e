import { parseArgs } from "node:util";
import { CommandError } from "./failure.ts";

export const USAGE = `See and steer the cells of fulfillment centers.

Usage:
  kubectl cell plan -f FILE|- | --delete NAME    what will change and what will restart, before it happens
  kubectl cell status [NAME]                     how a center does, and what to do next; without NAME: all of them
  kubectl cell drain NAME [--wait]               no new orders; open ones are finished
  kubectl cell fence NAME [--wait]               no writes at all: every writer is shut out of the database
  kubectl cell activate NAME [--wait]            ends a drain or a fence (also: undrain, unfence)

Options:
  --kubeconfig FILE, --context NAME, --as USER   which cluster, and as whom; as kubectl has them
  -o, --output text|json                         json for programs (plan, status)
  --operator-namespace NAME                      where the operator runs (plan); default: found by its labels
  --exit-code                                    exit with 2 when the plan changes something (plan)
  --wait, --timeout 300s                         follow it until it is done (drain, fence, activate)
  -y, --yes                                      do not ask (drain, fence, activate)
  -w, --watch                                    print again on change (status)
  -h, --help

Exit codes: 0 done; 1 refused or failed, with the reason in a sentence; 2 changes (only with --exit-code); 3 --wait ran out of time.
Only reading takes only the right to read: ClusterRole fulfillment-cells-viewer.`;

const OPTIONS = {
  kubeconfig: { type: "string" },
  context: { type: "string" },
  as: { type: "string" },
  output: { type: "string", short: "o", default: "text" },
  filename: { type: "string", short: "f" },
  delete: { type: "string" },
  "operator-namespace": { type: "string" },
  "exit-code": { type: "boolean", default: false },
  wait: { type: "boolean", default: false },
  timeout: { type: "string", default: "300s" },
  yes: { type: "boolean", short: "y", default: false },
  watch: { type: "boolean", short: "w", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

export type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

/** Commands and how many names each takes. */
export const COMMANDS = {
  plan: { names: [0, 0], own: ["filename", "delete", "operator-namespace", "exit-code", "output"] },
  status: { names: [0, 1], own: ["output", "watch"] },
  drain: { names: [1, 1], own: ["wait", "timeout", "yes"] },
  fence: { names: [1, 1], own: ["wait", "timeout", "yes"] },
  activate: { names: [1, 1], own: ["wait", "timeout", "yes"] },
} as const satisfies Record<string, { names: readonly [number, number]; own: readonly string[] }>;

export type CommandName = keyof typeof COMMANDS;
const ALIASES: Readonly<Record<string, CommandName>> = { undrain: "activate", unfence: "activate" };
const SHARED: readonly string[] = ["kubeconfig", "context", "as", "help"];

/** Long options of each command, those that all have included. */
export const OPTION_NAMES = Object.fromEntries(
  Object.entries(COMMANDS).map(([name, { own }]) => [name, [...own, ...SHARED]]),
) as unknown as Readonly<Record<CommandName, readonly string[]>>;

export interface Invocation {
  readonly command: CommandName | "help";
  readonly name: string | undefined;
  readonly values: Values;
}

/** Reads the words after `kubectl cell`; throws CommandError with what is wrong. */
export function parseWords(words: readonly string[]): Invocation {
  let parsed: { values: Values; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    const [sentence] = (error as Error).message.split(/[.\n] ?/);
    throw new CommandError(`${sentence}: see kubectl cell --help.`);
  }
  const { values, positionals } = parsed;
  const [word, ...names] = positionals;
  if (values.help || word === undefined || word === "help")
    return { command: "help", name: undefined, values };
  const command = ALIASES[word] ?? (word in COMMANDS ? (word as CommandName) : undefined);
  if (command === undefined)
    throw new CommandError(`There is no command "${word}": use plan, status, drain, fence or activate.`);
  checkNames(command, names);
  checkOptions(command, words, values);
  return { command, name: names[0], values };
}

function checkNames(command: CommandName, names: readonly string[]): void {
  const [least, most] = COMMANDS[command].names;
  if (names.length >= least && names.length <= most) return;
  throw new CommandError(
    names.length < least
      ? `kubectl cell ${command} needs the name of a center: kubectl cell status lists them.`
      : most === 0
        ? `kubectl cell ${command} takes no name, but "${names[0]}" was given: use -f FILE or --delete NAME.`
        : `kubectl cell ${command} takes one center, but ${names.length} were given: run it for each.`,
  );
}

function checkOptions(command: CommandName, words: readonly string[], values: Values): void {
  const own: readonly string[] = COMMANDS[command].own;
  for (const [name, option] of Object.entries(OPTIONS)) {
    const given = words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
    const short =
      "short" in option &&
      words.some((word) => word.startsWith(`-${option.short}`) && !word.startsWith("--"));
    if ((given || short) && !own.includes(name) && !SHARED.includes(name))
      throw new CommandError(`kubectl cell ${command} has no option --${name}: see kubectl cell --help.`);
  }
  if (!["text", "json"].includes(values.output ?? "text"))
    throw new CommandError(`--output is text or json, not "${values.output}".`);
  if (values.filename !== undefined && values.delete !== undefined)
    throw new CommandError("Give -f FILE or --delete NAME, not both.");
  if (timeoutMs(values) === undefined)
    throw new CommandError(`--timeout is a number of s, m or h, for example 90s, not "${values.timeout}".`);
}

/** The --timeout in milliseconds; undefined when it is none. */
export function timeoutMs({ timeout = "300s" }: Values): number | undefined {
  const match = /^(\d{1,5})(s|m|h)?$/.exec(timeout);
  if (match === null) return undefined;
  return Number(match[1]) * { s: 1000, m: 60_000, h: 3_600_000 }[(match[2] ?? "s") as "s" | "m" | "h"];
}
