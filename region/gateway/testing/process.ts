import { spawn } from "node:child_process";
import { join } from "node:path";
import { eventually } from "../../../platform/testing/stores.ts";

export type LogLine = Readonly<Record<string, unknown>>;

/** One program of the region as a child of the test. */
export interface Child {
  readonly port: number;
  readonly url: string;
  /** Its JSON log so far; a line that is no JSON comes as `{text}`. */
  readonly lines: readonly LogLine[];
  /** The first line whose message has these words, waited for. */
  said(words: string): Promise<LogLine>;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Runs `node region/<program>/main.ts` on a port of the loopback. */
export function startChild(
  program: "gateway" | "dev-issuer",
  port: number,
  env: Readonly<Record<string, string>>,
): Child {
  const root = join(import.meta.dirname, "../../..");
  const child = spawn(process.execPath, [`region/${program}/main.ts`], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", PORT: String(port), BIND_HOST: "127.0.0.1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: LogLine[] = [];
  for (const output of [child.stdout, child.stderr]) {
    let rest = "";
    output.setEncoding("utf8").on("data", (chunk: string) => {
      const whole = (rest + chunk).split("\n");
      rest = whole.pop() ?? "";
      for (const text of whole) if (text !== "") lines.push(parse(text));
    });
  }
  const ended = new Promise<number | string>((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown")),
  );
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    lines,
    said: (words) =>
      eventually(async () => lines.find(({ message, text }) => `${message ?? text}`.includes(words))),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

function parse(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { text };
  }
}

/** Ends a child and waits for it; nothing to do for one that has ended. */
export async function endChild(child: Child | undefined): Promise<void> {
  child?.kill("SIGKILL");
  await child?.ended;
}
