import { spawn } from "node:child_process";
import { ClusterError, interrupted } from "./errors.ts";

/** What a finished command left. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Ends the command when it is aborted. */
  readonly signal?: AbortSignal;
  /** Called with each chunk of standard error, for commands that take minutes. */
  readonly onStderr?: (chunk: string) => void;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_CHARS = 4_000_000;

/** Runs a command to its end; a code other than 0 is a result, not an error. Output beyond 4 MB is cut from the front. */
export function tryRun(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("a command needs a program");
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      timeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      killSignal: "SIGKILL",
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout = (stdout + chunk.toString()).slice(-MAX_OUTPUT_CHARS);
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-MAX_OUTPUT_CHARS);
      options.onStderr?.(chunk.toString());
    });
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (error.name === "AbortError") return reject(interrupted());
      if (error.code !== "ENOENT") return reject(error);
      reject(
        new ClusterError(
          "tool-missing",
          `The program ${program} is not installed: install it and run again.`,
        ),
      );
    });
    child.on("close", (code, signal) => {
      if (signal !== null) stderr += `\nended by ${signal}`;
      resolve({ exitCode: code ?? 128, stdout, stderr });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input);
  });
}

/** Runs a command to its end and returns what it printed; a code other than 0 throws with its last words. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await tryRun(argv, options);
  if (result.exitCode === 0) return result.stdout;
  const words = (result.stderr || result.stdout).trim().split("\n").slice(-8).join("\n");
  throw new ClusterError(
    "command-failed",
    `"${argv.join(" ")}" failed with code ${result.exitCode}: ${words}`,
  );
}
