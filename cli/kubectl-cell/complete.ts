import { COMMANDS, type CommandName, OPTION_NAMES } from "./arguments.ts";

export interface Completion {
  readonly words: readonly string[];
  /** What kubectl's completion does with them: 0 offers files as well when there are none, 4 does not. */
  readonly directive: 0 | 4;
}

const FILES = 0;
const NO_FILES = 4;

/** What may stand in place of the last word; `centers` is asked only where a center's name is wanted. */
export async function complete(
  words: readonly string[],
  centers: () => Promise<readonly string[]>,
): Promise<Completion> {
  const last = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const previous = before.at(-1);
  const offer = (candidates: readonly string[]): Completion => ({
    words: candidates.filter((candidate) => candidate.startsWith(last)),
    directive: NO_FILES,
  });
  if (previous === "-f" || previous === "--filename" || previous === "--kubeconfig")
    return { words: [], directive: FILES };
  if (previous === "-o" || previous === "--output") return offer(["text", "json"]);
  if (previous === "--delete") return offer(await centers());
  const command = before.find((word): word is CommandName => word in COMMANDS);
  if (command === undefined) return last.startsWith("-") ? offer([]) : offer(Object.keys(COMMANDS));
  if (last.startsWith("-")) return offer(OPTION_NAMES[command].map((name) => `--${name}`));
  const named = before.slice(before.indexOf(command) + 1).some((word) => !word.startsWith("-"));
  return COMMANDS[command].names[1] === 1 && !named ? offer(await centers()) : offer([]);
}
