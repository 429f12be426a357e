import { createProgress } from "../local/progress.ts";
import { untilStopped } from "../local/stop.ts";
import { holdsCommand } from "./holds/command.ts";
import type { Command } from "./load/command.ts";
import { operatorCommand } from "./operator/command.ts";
import { ordersCommand } from "./orders/command.ts";

const COMMANDS: readonly Command[] = [operatorCommand, holdsCommand, ordersCommand];

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((one) => one.name === name);
  if (!command || rest.includes("--help")) {
    process.stdout.write((command ? [command] : COMMANDS).map(({ usage }) => usage).join("\n"));
    return args.includes("--help") ? 0 : 2;
  }
  const progress = createProgress({ stream: process.stderr });
  const text = await command.run(rest, { progress, signal: untilStopped() });
  progress.done("Measured.");
  process.stdout.write(`${text}\n`);
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
