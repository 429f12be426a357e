import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { tail } from "../cluster/process.ts";
import { pause } from "./api.ts";

/** One program of ours as a process on this machine. */
export interface Running {
  readonly name: string;
  readonly logFile: string;
  /** Resolves when it has ended: with the signal that ended it, or null. */
  readonly ended: Promise<NodeJS.Signals | null>;
  /** Ends it at once, as a crash does. */
  crash(): Promise<void>;
  /** Ends it properly, and at once when that takes too long. */
  stop(): Promise<void>;
}

export interface ProcessOptions {
  readonly name: string;
  readonly root: string;
  readonly dir: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const STOP_TIMEOUT_MS = 20_000;
const TAIL_LINES = 15;
const ASK_MS = 100;

/** Starts `node ARGS` with this environment; its output goes to a file in `dir`. */
export function startProcess(options: ProcessOptions): Running {
  const { name } = options;
  const { child, logFile } = spawnLogged(options);
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once("close", (_code, signal) => resolve(signal)),
  );
  return {
    name,
    logFile,
    ended,
    async crash() {
      if (isAlive(child)) child.kill("SIGKILL");
      await ended;
    },
    async stop() {
      if (isAlive(child)) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs `node ARGS` to its end; throws with the place of its log when it fails. */
export async function runProcess(options: ProcessOptions): Promise<void> {
  const { child, logFile } = spawnLogged(options);
  const code = await new Promise<number>((resolve) => child.once("close", (status) => resolve(status ?? 1)));
  if (code !== 0) throw new Error(`${options.name} ended with ${code}; its log is ${logFile}`);
}

function spawnLogged({ name, root, dir, args, env }: ProcessOptions) {
  const logFile = join(dir, `${name}.log`);
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", HOME: dir, ...env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  return { child, logFile };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Waits until every address answers 2xx; throws, with the last lines of its log, when a process has ended or the time is over. */
export async function untilReady(
  processes: readonly Running[],
  urls: readonly string[],
  timeoutMs: number,
): Promise<void> {
  let gone: Running | undefined;
  for (const one of processes) void one.ended.then(() => (gone ??= one));
  const untilMs = Date.now() + timeoutMs;
  for (const url of urls) {
    for (;;) {
      const isUp = await isHealthy(url);
      if (gone) throw new Error(`${gone.name} ended before it was ready; ${tail(gone.logFile, TAIL_LINES)}`);
      if (isUp) break;
      if (Date.now() > untilMs) {
        const logs = processes.map(({ logFile }) => tail(logFile, TAIL_LINES)).join("\n");
        throw new Error(`${url} is not ready after ${timeoutMs / 1000} s; ${logs}`);
      }
      await pause(ASK_MS);
    }
  }
}

export async function isHealthy(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(3_000) }).then(
    (response) => response.ok,
    () => false,
  );
}
