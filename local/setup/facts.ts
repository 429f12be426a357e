import { existsSync, mkdirSync, readFileSync, rmdirSync, statfsSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { tryRun } from "../cluster/command.ts";

/** What was seen of this machine. */
export interface MachineFacts {
  readonly platform: string;
  readonly arch: string;
  readonly userId: number;
  readonly isRoot: boolean;
  readonly hasApt: boolean;
  readonly missingPackages: readonly string[];
  /** [major, minor]; undefined when there is no Go. */
  readonly goVersion: readonly [number, number] | undefined;
  /** Undefined when there is no Java. */
  readonly javaMajor: number | undefined;
  readonly disks: readonly { readonly folder: string; readonly freeBytes: number }[];
  readonly availableMemoryBytes: number;
  readonly busyPorts: readonly number[];
  /** Only with root and when asked for. */
  readonly kernel:
    | {
        readonly canMakeNetworkNamespace: boolean;
        readonly canMount: boolean;
        readonly canMakeCgroup: boolean;
      }
    | undefined;
}

export interface FactsOptions {
  readonly folders: readonly string[];
  readonly ports: readonly number[];
  readonly probeKernel: boolean;
  readonly missingPackages: readonly string[];
}

const PROBE_BOUND_MS = 15_000;

/** Looks, and leaves nothing behind: the probes of the kernel run in namespaces that end with them. */
export async function readFacts(options: FactsOptions): Promise<MachineFacts> {
  const userId = process.getuid?.() ?? -1;
  const [go, java, busyPorts, kernel] = await Promise.all([
    outputOf(["go", "env", "GOVERSION"]),
    outputOf(["java", "-version"]),
    busyOf(options.ports),
    options.probeKernel && userId === 0 ? probeKernel() : undefined,
  ]);
  return {
    platform: process.platform,
    arch: process.arch,
    userId,
    isRoot: userId === 0,
    hasApt: existsSync("/usr/bin/apt-get"),
    missingPackages: options.missingPackages,
    goVersion: parseGoVersion(go),
    javaMajor: parseJavaMajor(java),
    disks: options.folders.map((folder) => ({ folder, freeBytes: freeBytesOf(folder) })),
    availableMemoryBytes: availableMemoryBytes(),
    busyPorts,
    kernel,
  };
}

/** `go1.26.8` -> [1, 26]; a development version counts as newer than any. */
export function parseGoVersion(text: string): readonly [number, number] | undefined {
  const match = /go(\d+)\.(\d+)/.exec(text);
  if (match) return [Number(match[1]), Number(match[2])];
  return text.startsWith("devel") ? [Number.MAX_SAFE_INTEGER, 0] : undefined;
}

/** `openjdk version "17.0.15" ...` -> 17; the old form `1.8.0` -> 8. */
export function parseJavaMajor(text: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** Everything the command printed; empty when it is not there or fails. */
async function outputOf(argv: readonly string[]): Promise<string> {
  try {
    const result = await tryRun(argv, { timeoutMs: PROBE_BOUND_MS });
    return result.exitCode === 0 ? result.stdout + result.stderr : "";
  } catch {
    return "";
  }
}

async function succeeds(argv: readonly string[]): Promise<boolean> {
  try {
    return (await tryRun(argv, { timeoutMs: PROBE_BOUND_MS })).exitCode === 0;
  } catch {
    return false;
  }
}

async function probeKernel(): Promise<NonNullable<MachineFacts["kernel"]>> {
  const [canMakeNetworkNamespace, canMount] = await Promise.all([
    succeeds(["unshare", "--net", "true"]),
    succeeds(["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]),
  ]);
  return { canMakeNetworkNamespace, canMount, canMakeCgroup: canMakeCgroup() };
}

function canMakeCgroup(): boolean {
  const root = "/sys/fs/cgroup";
  const parent = existsSync(join(root, "cgroup.controllers")) ? root : join(root, "pids");
  const probe = join(parent, `fulfillment-cells-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** Of the disk that holds `folder`, or will once it is made. */
function freeBytesOf(folder: string): number {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  return bavail * bsize;
}

/** MemAvailable of proc(5): what a new program gets without swapping. */
function availableMemoryBytes(): number {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(
    existsSync("/proc/meminfo") ? readFileSync("/proc/meminfo", "utf8") : "",
  );
  return match ? Number(match[1]) * 1024 : 0;
}

async function busyOf(ports: readonly number[]): Promise<number[]> {
  const tried = await Promise.all(ports.map(async (port) => ((await isFree(port)) ? [] : [port])));
  return tried.flat();
}

/** Any address: a listener on one of them takes the port from a server that listens on all. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
