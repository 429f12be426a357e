import { spawn } from "node:child_process";

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** A command of the demo failed; the message carries its last words. */
export class CommandFailed extends Error {}

const MAX_OUTPUT = 64 * 1024 * 1024;

/** Runs a program to its end and returns its standard output; throws CommandFailed with what it said when it fails. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { env = process.env, input, timeoutMs = 260_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let length = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAX_OUTPUT) out.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve(Buffer.concat(out).toString("utf8"));
      const said = Buffer.concat(err).toString("utf8").trim().split("\n").slice(-5).join(" ");
      reject(
        new CommandFailed(
          `${program.split("/").at(-1)} ${args.slice(0, 4).join(" ")}: ${said || `exit ${code}`}`,
        ),
      );
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(input ?? "");
  });
}
