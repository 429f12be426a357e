import { type CommandName, type Invocation, parseWords, timeoutMs, USAGE } from "./arguments.ts";
import { complete } from "./complete.ts";
import { CommandError } from "./failure.ts";
import { type Mode, runMode } from "./mode.ts";
import { runPlan } from "./plan.ts";
import { allCenters, openSession, type Session } from "./session.ts";
import { runStatus } from "./status.ts";
import type { Terminal } from "./terminal.ts";

/** Runs one command line; the result is the exit code. Nothing is thrown for what the user can put right. */
export async function runCommand(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    if (words[0] === "__complete") return await printCompletion(words.slice(1), terminal);
    const { command, name, values } = parseWords(words);
    if (command === "help") {
      terminal.print(USAGE);
      return 0;
    }
    const session = await openSession(values, terminal);
    try {
      return await dispatch(command, name, values, session);
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    terminal.note(`error: ${error.message}`);
    return 1;
  }
}

/** Answers the shell; whatever goes wrong, it gets no candidates rather than an error on the command line. */
async function printCompletion(words: readonly string[], terminal: Terminal): Promise<number> {
  const centers = async () => {
    const session = await openSession({}, terminal);
    try {
      return (await allCenters(session)).map(({ metadata }) => metadata.name);
    } finally {
      await session.close();
    }
  };
  const none = { words: [], directive: 4 };
  const found = await complete(words, centers).catch(() => none);
  terminal.print([...found.words, `:${found.directive}`].join("\n"));
  return 0;
}

const MODES: Readonly<Record<"drain" | "fence" | "activate", Mode>> = {
  drain: "Draining",
  fence: "Fenced",
  activate: "Active",
};

function dispatch(
  command: CommandName,
  name: string | undefined,
  values: Invocation["values"],
  session: Session,
): Promise<number> {
  const json = values.output === "json";
  if (command === "plan")
    return runPlan(session, {
      file: values.filename,
      delete: values.delete,
      operatorNamespace: values["operator-namespace"],
      json,
      exitCode: values["exit-code"] === true,
    });
  if (command === "status") return runStatus(session, { name, json, watch: values.watch === true });
  return runMode(session, {
    name: name ?? "",
    mode: MODES[command],
    wait: values.wait === true,
    timeoutMs: timeoutMs(values) ?? 0,
    yes: values.yes === true,
  });
}
