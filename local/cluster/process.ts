import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterError } from "./errors.ts";

/** A process that outlives its launcher, told apart from a later one with the same pid by its start time. */
export interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks after boot (proc(5)). */
  readonly startTicks: number;
  readonly logPath: string;
  /** How it was started, so that it can be started again. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly joinFiles: readonly string[];
}

export interface ProcessSpec {
  readonly name: string;
  readonly argv: readonly string[];
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Files to which the process writes its pid before it becomes the program (cgroup.procs). */
  readonly joinFiles?: readonly string[];
}

const TAIL_BYTES = 64 * 1024;

/**
 * Starts a program in a session of its own, so that it stays when the launcher ends. The shell joins the
 * cgroup before it becomes the program: no child can be born outside.
 */
export async function startProcess(spec: ProcessSpec): Promise<ProcessRecord> {
  mkdirSync(dirname(spec.logPath), { recursive: true });
  const log = openSync(spec.logPath, "a", 0o640);
  const joins = (spec.joinFiles ?? []).map((_, at) => `echo $$ > "$${at + 1}"`).join(" && ");
  const count = spec.joinFiles?.length ?? 0;
  const script = `${joins === "" ? "" : `${joins} && `}${count > 0 ? `shift ${count} && ` : ""}exec "$@"`;
  const argv = ["-c", script, spec.name, ...(spec.joinFiles ?? []), ...spec.argv];
  const env = { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", ...spec.env };
  const child = spawn("/bin/sh", argv, { detached: true, cwd: "/", stdio: ["ignore", log, log], env });
  closeSync(log);
  const pid = child.pid;
  // Read before anything is awaited: a child that has ended already is not reaped until then.
  const startTicks = pid === undefined ? undefined : statOf(pid)?.startTicks;
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
  if (pid === undefined || startTicks === undefined) {
    throw new ClusterError("component-exited", `${spec.name} ended at once.\n${tail(spec.logPath, 15)}`);
  }
  const { name, logPath, argv: words, env: extra = {}, joinFiles = [] } = spec;
  return { name, pid, startTicks, logPath, argv: words, env: extra, joinFiles };
}

/** Start time of a running process in clock ticks; undefined when it is gone or only waits to be reaped. */
export function startTicksOf(pid: number): number | undefined {
  const stat = statOf(pid);
  return stat?.ended === false ? stat.startTicks : undefined;
}

function statOf(pid: number): { readonly startTicks: number; readonly ended: boolean } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets and may itself hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { startTicks: Number(fields[19]), ended: fields[0] === "Z" || fields[0] === "X" };
}

/** True while the very process that was recorded is running. */
export function isAlive(record: Pick<ProcessRecord, "pid" | "startTicks">): boolean {
  return startTicksOf(record.pid) === record.startTicks;
}

/** Sends a signal if the recorded process is still there; false when it was not. */
export function signalProcess(
  record: Pick<ProcessRecord, "pid" | "startTicks">,
  signal: NodeJS.Signals,
): boolean {
  if (!isAlive(record)) return false;
  try {
    process.kill(record.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Asks a process to end, waits, and kills it when it does not. */
export async function stopProcess(record: ProcessRecord, graceMs = 3_000): Promise<void> {
  if (graceMs > 0 && signalProcess(record, "SIGTERM")) await waitForEnd(record, graceMs);
  if (signalProcess(record, "SIGKILL")) await waitForEnd(record, 10_000);
  if (isAlive(record)) {
    throw new ClusterError(
      "not-removed",
      `${record.name} (process ${record.pid}) does not end: look at its state in /proc.`,
    );
  }
}

async function waitForEnd(record: ProcessRecord, boundMs: number): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (isAlive(record) && performance.now() < deadline) await sleep(20);
}

/** The last lines of a log, and where the rest is. */
export function tail(logPath: string, lines: number): string {
  if (!existsSync(logPath)) return `(no log at ${logPath})`;
  const size = statSync(logPath).size;
  const from = Math.max(0, size - TAIL_BYTES);
  const buffer = Buffer.alloc(size - from);
  const file = openSync(logPath, "r");
  try {
    readSync(file, buffer, 0, buffer.length, from);
  } finally {
    closeSync(file);
  }
  const last = buffer.toString("utf8").trimEnd().split("\n").slice(-lines).join("\n");
  return `last lines of ${logPath}:\n${last}`;
}
