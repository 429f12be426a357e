import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { tryRun } from "../cluster/command.ts";
import { withLock } from "../cluster/lock.ts";
import type { Report } from "../cluster/report.ts";

/** What the packages are for. */
export type PackageGroup = "stores" | "cluster";

export type SystemPackagesResult =
  | { readonly ok: true; readonly installed: readonly string[] }
  | {
      readonly ok: false;
      readonly code: "not-root" | "no-apt" | "apt-failed";
      readonly message: string;
    };

interface Need {
  readonly group: PackageGroup;
  readonly debianPackage: string;
  /** Any file of each list makes the package unnecessary; a program may come from elsewhere (Docker's containerd). */
  readonly provides: readonly (readonly string[])[];
  /** A service that the package would start at each boot. */
  readonly service?: string;
}

const NEEDS: readonly Need[] = [
  {
    group: "stores",
    debianPackage: "redis-server",
    provides: [programs("redis-server")],
    service: "redis-server",
  },
  {
    group: "stores",
    debianPackage: "postgresql",
    provides: [["/usr/lib/postgresql"]],
    service: "postgresql",
  },
  { group: "stores", debianPackage: "openjdk-17-jre-headless", provides: [programs("java")] },
  { group: "stores", debianPackage: "maven", provides: [programs("mvn")] },
  {
    group: "cluster",
    debianPackage: "containerd",
    provides: [programs("containerd"), programs("ctr")],
    service: "containerd",
  },
  { group: "cluster", debianPackage: "runc", provides: [programs("runc")] },
  { group: "cluster", debianPackage: "containernetworking-plugins", provides: [["/usr/lib/cni/ptp"]] },
  { group: "cluster", debianPackage: "iptables", provides: [programs("iptables")] },
  { group: "cluster", debianPackage: "conntrack", provides: [programs("conntrack")] },
  { group: "cluster", debianPackage: "ipset", provides: [programs("ipset")] },
  { group: "cluster", debianPackage: "iproute2", provides: [programs("ip")] },
];

const LOCK_PATH = "/run/fulfillment-cells/packages.lock";
const APT_BOUND_MS = 900_000;
const SERVICE_POLICY = "/usr/sbin/policy-rc.d";
/** In the file that we write, so that one left by a killed run is known as ours. */
const POLICY_MARK = "fulfillment-cells: a package that is being installed must start nothing";

/** Names of Debian packages that `groups` need and this machine lacks. Looks at files only: no process is started. */
export function missingPackages(
  groups: readonly PackageGroup[],
  isThere: (path: string) => boolean = existsSync,
): string[] {
  return NEEDS.filter(({ group }) => groups.includes(group))
    .filter(({ provides }) => !provides.every((paths) => paths.some((path) => isThere(path))))
    .map(({ debianPackage }) => debianPackage);
}

/** Installs what `groups` need and is missing. Services of these packages are neither started nor enabled. */
export async function ensureSystemPackages(
  report: Report,
  groups: readonly PackageGroup[] = ["stores", "cluster"],
): Promise<SystemPackagesResult> {
  const wanted = missingPackages(groups);
  if (wanted.length === 0) return { ok: true, installed: [] };
  const byHand = `apt-get install ${wanted.join(" ")}`;
  if (!hasApt()) {
    return {
      ok: false,
      code: "no-apt",
      message: `This machine lacks ${wanted.join(", ")} and has no apt-get: install them with its package manager, then run again.`,
    };
  }
  if (process.getuid?.() !== 0) {
    return {
      ok: false,
      code: "not-root",
      message: `This machine lacks ${wanted.join(", ")}: run "sudo ${byHand}", then run again.`,
    };
  }
  return withLock(LOCK_PATH, "installing packages", APT_BOUND_MS, async () => {
    const names = missingPackages(groups);
    if (names.length === 0) return { ok: true, installed: [] };
    return report.step(`Install ${names.length} Debian packages`, "once per machine: up to 2 min", () => {
      report.note(names.join(", "));
      return install(names);
    });
  });
}

/** The paths at which Debian may keep a program. */
function programs(name: string): string[] {
  return ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((dir) =>
    join(dir, name),
  );
}

function hasApt(): boolean {
  try {
    accessSync("/usr/bin/apt-get", constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function install(names: readonly string[]): Promise<SystemPackagesResult> {
  return withoutStartingServices(async () => {
    let cause = knowsPackages() ? await aptInstall(names) : "no package lists";
    if (cause !== undefined) {
      // Most often the lists are older than the mirror. One mirror of several that fails need not matter.
      const updateCause = await apt(["update"]);
      const installCause = await aptInstall(names);
      cause = installCause && (updateCause ?? installCause);
    }
    if (cause !== undefined) {
      const message = `apt-get could not install ${names.join(", ")}: ${cause.replace(/\.$/, "")}. Put that right and run again.`;
      return { ok: false, code: "apt-failed", message };
    }
    await disableServices(names);
    return { ok: true, installed: names };
  });
}

function aptInstall(names: readonly string[]): Promise<string | undefined> {
  return apt(["install", "-y", "--no-install-recommends", ...names]);
}

/** Runs apt-get; undefined when it worked, else the first cause that it names. */
async function apt(args: readonly string[]): Promise<string | undefined> {
  const options = ["-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  const result = await tryRun(["apt-get", ...options, ...args], { timeoutMs: APT_BOUND_MS, env });
  if (result.exitCode === 0) return undefined;
  const lines = `${result.stderr}\n${result.stdout}`.split("\n");
  const said = lines.find((line) => line.startsWith("E: ")) ?? lines.find((line) => line.trim() !== "");
  return said?.replace(/^E: /, "").trim() ?? `code ${result.exitCode}`;
}

function knowsPackages(): boolean {
  const lists = "/var/lib/apt/lists";
  return existsSync(lists) && readdirSync(lists).some((name) => name.includes("_Packages"));
}

/** invoke-rc.d asks policy-rc.d before it starts a service; 101 means "forbidden". Someone else's policy is kept. */
async function withoutStartingServices<T>(run: () => Promise<T>): Promise<T> {
  const isOurs = existsSync(SERVICE_POLICY) && readFileSync(SERVICE_POLICY, "utf8").includes(POLICY_MARK);
  const kept = existsSync(SERVICE_POLICY) && !isOurs;
  if (!kept) {
    writeFileSync(SERVICE_POLICY, `#!/bin/sh\n# ${POLICY_MARK}\nexit 101\n`);
    chmodSync(SERVICE_POLICY, 0o755);
  }
  try {
    return await run();
  } finally {
    if (!kept) rmSync(SERVICE_POLICY, { force: true });
  }
}

/** The policy keeps a service from starting now; enabled, it would start at the next boot. */
async function disableServices(names: readonly string[]): Promise<void> {
  const services = NEEDS.flatMap(({ debianPackage, service }) =>
    service !== undefined && names.includes(debianPackage) ? [service] : [],
  );
  for (const service of services) {
    // Links of systemd and of the older init: Debian makes both, whichever of them runs. The first tool is made for the
    // scripts of packages and asks whose script calls it; systemctl would need a systemd that is installed.
    const env = { ...process.env, DPKG_MAINTSCRIPT_PACKAGE: service };
    await tryRun(["deb-systemd-helper", "disable", `${service}.service`], { timeoutMs: 30_000, env });
    await tryRun(["update-rc.d", service, "disable"], { timeoutMs: 30_000 });
  }
}
