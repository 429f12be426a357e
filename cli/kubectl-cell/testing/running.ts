import { execFile } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runCommand } from "../run.ts";

export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Puts the plugin into a folder of its own, as a user links it into one of PATH. */
export function linkPlugin(dir: string): void {
  for (const program of ["kubectl-cell", "kubectl_complete-cell"])
    symlinkSync(join(import.meta.dirname, "..", program), join(dir, program));
}

/** Runs the real kubectl, which finds the plugin of `dir` on PATH. */
export function runKubectl(
  dir: string,
  words: readonly string[],
  input = "",
  env: Record<string, string> = {},
): Promise<Answer> {
  const program = process.env.TEST_KUBECTL;
  if (program === undefined) throw new Error("set TEST_KUBECTL to a kubectl");
  const own = {
    ...process.env,
    PATH: `${dir}${delimiter}${process.env.PATH}`,
    KUBECONFIG: process.env.TEST_KUBECONFIG ?? "",
    ...env,
  };
  return new Promise((done) => {
    const child = execFile(program, words, { env: own, timeout: 60_000 }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin?.end(input);
  });
}

/** The plugin in this process, with nobody at the terminal; "-" stands for `input`. */
export async function runPlugin(dir: string, words: readonly string[], input?: string): Promise<Answer> {
  const [out, err]: [string[], string[]] = [[], []];
  const file = join(dir, "input.yaml");
  if (input !== undefined) writeFileSync(file, input);
  const terminal = { columns: 110, colours: false, canAsk: false, confirm: () => Promise.resolve(false) };
  const own = words.includes("--kubeconfig") ? [] : ["--kubeconfig", process.env.TEST_KUBECONFIG ?? ""];
  const given = [...words.map((word) => (word === "-" ? file : word)), ...own];
  const code = await runCommand(given, {
    ...terminal,
    print: (text) => void out.push(`${text}\n`),
    note: (text) => void err.push(`${text}\n`),
  });
  return { code, out: out.join(""), err: err.join("") };
}
