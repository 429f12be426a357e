import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Span {
  readonly name: string;
  /** OpenTelemetry's numbers: 0 internal, 1 server, 2 client, 3 producer, 4 consumer. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly service: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface LogLine {
  readonly level: string;
  readonly service: string;
  readonly message: string;
  readonly traceId?: string;
}

/** `node cell/main.ts ROLES` as a process of its own. */
export interface CellProcess {
  signal(name: NodeJS.Signals): void;
  /** Its exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Every span that it has ended so far. */
  spans(): Span[];
  /** Every line that it has logged so far; throws on a line that is no JSON. */
  logs(): LogLine[];
  stderr(): string;
  /** Ends it if it still runs, and removes its files. */
  stop(): Promise<void>;
}

const MAIN = join(import.meta.dirname, "..", "main.ts");

/** Starts it; its environment is `env` and nothing else but the path. `words` follow the roles. */
export function startCellProcess(
  roles: string,
  env: Readonly<Record<string, string>>,
  words: readonly string[] = [],
): CellProcess {
  const dir = mkdtempSync(join(tmpdir(), "cell-process-"));
  const traces = join(dir, "traces.jsonl");
  const child: ChildProcess = spawn(process.execPath, [MAIN, roles, ...words], {
    env: { PATH: process.env.PATH ?? "", ...env, OTEL_TRACES_FILE: traces },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream]?.on("data", (chunk: Buffer) => {
      said[stream] += chunk.toString("utf8");
    });
  const exited = once(child, "close").then(([code]) => code as number | null);
  return {
    signal: (name) => void child.kill(name),
    exited,
    spans: () => linesOf<Span>(readOrNothing(traces)),
    logs: () => linesOf<LogLine>(said.stdout),
    stderr: () => said.stderr,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The last line may still be on its way. */
function linesOf<T>(text: string): T[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T);
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
