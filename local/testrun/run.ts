import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Progress } from "../progress.ts";
import type { Lane } from "./lanes.ts";

export interface Count {
  readonly passed: number;
  readonly failed: number;
}

/** Added up. */
export function sum(counts: readonly Count[]): Count {
  return counts.reduce((a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed }), {
    passed: 0,
    failed: 0,
  });
}

/** Runs a tool that is a test by itself: its exit code decides, its words are shown only when it fails. */
export async function runCheck(
  progress: Progress,
  root: string,
  check: { title: string; why: string; program: string; args: readonly string[] },
): Promise<Count> {
  const ended = await progress.step(check.title, check.why, () => execute(root, check.program, check.args));
  if (ended.code === 0) return { passed: 1, failed: 0 };
  progress.line(ended.output.trimEnd());
  return { passed: 0, failed: 1 };
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const MAX_MESSAGE = 2_000;
const MAX_UNEXPECTED = 10;

/** What services under test have logged as a fault of their own, each once, at most ten: a red test may be its consequence. */
export function unexpectedErrors(output: string): string[] {
  const lines = [...output.matchAll(/\{"level":"error"[^\n]*unexpected error[^\n]*/g)].map(([line]) =>
    line.replace(/,"(?:time|traceId)":"[^"]*"/g, ""),
  );
  return [...new Set(lines)].slice(0, MAX_UNEXPECTED).map((line) => line.slice(0, MAX_MESSAGE));
}

export type Project = "unit" | "integration" | "cluster";

const WHY: Readonly<Record<Project, string>> = {
  unit: "pure rules, in seconds",
  integration: "real stores and a real API server",
  cluster: "a real local cluster",
};
export interface RunOptions {
  /** For the tests, beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly lane?: Lane;
  /** Ends the run; what it has started is still cleared up. */
  readonly signal: AbortSignal;
}

/** What vitest prints when a file has ended: its path, then how many tests it had. */
const FILE_ENDED = /^\s*\S+\s.*?(\S+\.[ie]?test\.ts) \(/gm;

/**
 * Runs one vitest project, or the files of one lane of it, and names each test that failed. A file that could not be loaded counts as
 * one failure.
 */
export async function runProject(
  progress: Progress,
  root: string,
  project: Project,
  { env = {}, lane, signal }: RunOptions,
): Promise<Count> {
  const name = lane === undefined ? project : `${project} (${lane.name})`;
  const dir = await mkdtemp(join(tmpdir(), "vitest-"));
  const file = join(dir, "report.json");
  try {
    const reporters = ["--reporter=json", `--outputFile=${file}`, "--reporter=default"];
    const args = ["run", "--project", project, ...reporters, ...(lane?.files ?? [])];
    const ended = await progress.step(`Run the ${name} tests`, WHY[project], () => {
      let files = 0;
      return execute(root, "vitest", args, {
        env: { ...env, NO_COLOR: "1" },
        signal,
        onText: (text) => {
          for (const [, path] of text.matchAll(FILE_ENDED)) {
            files += 1;
            if (project !== "unit")
              progress.note(`${files}${lane ? ` of ${lane.files.length}` : ""}: ${path}`);
          }
        },
      });
    });
    const report = await readFile(file, "utf8").then(
      (text) => JSON.parse(text) as VitestReport,
      () => undefined,
    );
    if (!report) {
      progress.line(ended.output.slice(-MAX_MESSAGE));
      return { passed: 0, failed: 1 };
    }
    const unloaded = report.testResults.filter(
      ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
    );
    for (const { name, message } of unloaded)
      progress.line(`FAILED ${name}: ${message.slice(0, MAX_MESSAGE)}`);
    for (const { name, assertionResults } of report.testResults)
      for (const { status, fullName, failureMessages } of assertionResults)
        if (status === "failed")
          progress.line(
            `FAILED ${name.replace(`${root}/`, "")}: ${fullName}\n${failureMessages.join("\n").slice(0, MAX_MESSAGE)}`,
          );
    const failed = report.numFailedTests + unloaded.length;
    if (failed > 0)
      for (const line of unexpectedErrors(ended.output)) progress.line(`A service said: ${line}`);
    progress.line(`${name}: ${report.numPassedTests} passed, ${failed} failed`);
    // An error outside of any test fails vitest without failing a test: it must not pass here.
    return { passed: report.numPassedTests, failed: failed === 0 && ended.code !== 0 ? 1 : failed };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const MAX_OUTPUT = 4 * 1024 * 1024;

interface ExecuteOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  onText?(text: string): void;
}

function execute(
  root: string,
  program: string,
  args: readonly string[],
  { env = {}, signal, onText }: ExecuteOptions = {},
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, "node_modules", ".bin", program), args, {
      cwd: root,
      env: { ...process.env, ...env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` },
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal ? { signal } : {}),
    });
    let output = "";
    const keep = (chunk: Buffer) => {
      const text = chunk.toString("utf8");
      output = (output + text).slice(-MAX_OUTPUT);
      onText?.(text);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    // One that was told to end has ended; who told it knows why.
    child.on("error", (error) => (signal?.aborted ? undefined : reject(error)));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
