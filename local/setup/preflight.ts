import { type MachineFacts, readFacts } from "./facts.ts";
import { cacheDir } from "./paths.ts";
import { missingPackages, type PackageGroup } from "./system.ts";

/** What the caller is about to do. */
export interface PreflightWants {
  /** Start the local Kubernetes; false runs the same processes without pods. */
  readonly kubernetes: boolean;
  /** TCP ports that must be free, with what they are for. */
  readonly ports?: readonly { readonly port: number; readonly use: string }[];
}

export type ProblemCode =
  | "not-linux"
  | "architecture"
  | "no-root"
  | "missing-packages"
  | "no-go"
  | "old-go"
  | "old-java"
  | "disk"
  | "memory"
  | "port-busy"
  | "no-network-namespace"
  | "no-mount"
  | "no-cgroup";

/** One thing that is wrong; the message is one sentence that says what to do. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
}

/** `code` and `message` are those of the first problem. */
export type PreflightResult =
  | { readonly ok: true }
  | ({ readonly ok: false; readonly problems: readonly Problem[] } & Problem);

const MIN_GO: readonly [number, number] = [1, 25];
const MIN_JAVA = 17;
const GIB = 1024 ** 3;
const MIN_DISK_BYTES = { kubernetes: 8 * GIB, processes: 2 * GIB };
const MIN_MEMORY_BYTES = { kubernetes: 4 * GIB, processes: 2 * GIB };
const INSTEAD = 'run "npm run demo -- --without-kubernetes" to see the same without pods';

/** Looks at this machine and says everything that would make a run fail later. Changes nothing. */
export async function preflight(wants: PreflightWants): Promise<PreflightResult> {
  const groups: PackageGroup[] = wants.kubernetes ? ["stores", "cluster"] : ["stores"];
  const facts = await readFacts({
    folders: wants.kubernetes ? [cacheDir(), "/var/lib"] : [cacheDir()],
    ports: (wants.ports ?? []).map(({ port }) => port),
    probeKernel: wants.kubernetes,
    missingPackages: missingPackages(groups),
  });
  const problems = findProblems(facts, wants);
  const [first] = problems;
  return first ? { ok: false, ...first, problems } : { ok: true };
}

/** The decision, apart from the looking. What stops everything comes alone, because the rest would be noise. */
export function findProblems(facts: MachineFacts, wants: PreflightWants): Problem[] {
  if (facts.platform !== "linux") {
    const message = `This runs on Linux and here is ${facts.platform}: use a Linux machine or a virtual one with Debian 12.`;
    return [{ code: "not-linux", message }];
  }
  if (facts.arch !== "x64" && facts.arch !== "arm64") {
    const message = `The processor is ${facts.arch} and only x64 and arm64 are supported: use another machine.`;
    return [{ code: "architecture", message }];
  }
  return [
    ...packageProblems(facts, wants),
    ...(wants.kubernetes ? kernelProblems(facts) : []),
    ...(wants.kubernetes ? goProblems(facts) : []),
    ...javaProblems(facts),
    ...roomProblems(facts, wants),
    ...portProblems(facts, wants),
  ];
}

function packageProblems(facts: MachineFacts, wants: PreflightWants): Problem[] {
  if (facts.missingPackages.length === 0 || (facts.hasApt && facts.isRoot)) return [];
  const names = facts.missingPackages.join(", ");
  // Without root a missing root is the first thing to mend, and it mends this too.
  if (wants.kubernetes && !facts.isRoot && facts.hasApt) return [];
  const how = facts.hasApt
    ? `run "sudo apt-get install ${facts.missingPackages.join(" ")}" and start again`
    : "install them with the package manager of this machine (only apt is used automatically) and start again";
  return [{ code: "missing-packages", message: `This machine lacks ${names}: ${how}.` }];
}

function kernelProblems(facts: MachineFacts): Problem[] {
  if (!facts.isRoot) {
    const message = `Pods need root (namespaces, mounts, cgroups) and this is user ${facts.userId}: use sudo, or ${INSTEAD}.`;
    return [{ code: "no-root", message }];
  }
  const problems: Problem[] = [];
  const { canMakeNetworkNamespace, canMount, canMakeCgroup } = facts.kernel ?? {};
  if (canMakeNetworkNamespace === false) {
    const message = `The kernel refuses a network namespace (CAP_SYS_ADMIN is missing, as in an unprivileged container): ${INSTEAD}.`;
    problems.push({ code: "no-network-namespace", message });
  } else if (canMount === false) {
    const message = `The kernel refuses mounts, which every pod needs: use a privileged container or a virtual machine, or ${INSTEAD}.`;
    problems.push({ code: "no-mount", message });
  }
  if (canMakeCgroup === false) {
    const message = `No cgroup can be made under /sys/fs/cgroup (it is read-only or not mounted): mount it writable, or ${INSTEAD}.`;
    problems.push({ code: "no-cgroup", message });
  }
  return problems;
}

function goProblems({ goVersion }: MachineFacts): Problem[] {
  const needed = MIN_GO.join(".");
  if (goVersion === undefined) {
    const message = `Go ${needed} or newer is missing, from which Kubernetes is built: install it (https://go.dev/doc/install) and put it in the PATH, or ${INSTEAD}.`;
    return [{ code: "no-go", message }];
  }
  const [major, minor] = goVersion;
  if (major > MIN_GO[0] || (major === MIN_GO[0] && minor >= MIN_GO[1])) return [];
  const message = `Go ${major}.${minor} is too old to build Kubernetes: install Go ${needed} or newer (https://go.dev/doc/install), or ${INSTEAD}.`;
  return [{ code: "old-go", message }];
}

function javaProblems({ javaMajor }: MachineFacts): Problem[] {
  if (javaMajor === undefined || javaMajor >= MIN_JAVA) return [];
  const message = `Java ${javaMajor} is too old for Kafka: install Java ${MIN_JAVA} or newer (apt-get install openjdk-17-jre-headless) and make it the first in the PATH.`;
  return [{ code: "old-java", message }];
}

function roomProblems(facts: MachineFacts, { kubernetes }: PreflightWants): Problem[] {
  const kind = kubernetes ? "kubernetes" : "processes";
  const problems: Problem[] = facts.disks
    .filter(({ freeBytes }) => freeBytes < MIN_DISK_BYTES[kind])
    .map(({ folder, freeBytes }) => ({
      code: "disk",
      message: `${folder} has ${gib(freeBytes)} GiB free and ${gib(MIN_DISK_BYTES[kind])} GiB are needed: free some, or set FULFILLMENT_CELLS_CACHE to a folder on a larger disk for what is built.`,
    }));
  if (facts.availableMemoryBytes < MIN_MEMORY_BYTES[kind]) {
    const message = `${gib(facts.availableMemoryBytes)} GiB of memory are available and ${gib(MIN_MEMORY_BYTES[kind])} GiB are needed: close other programs or use a larger machine.`;
    problems.push({ code: "memory", message });
  }
  return problems;
}

function portProblems({ busyPorts }: MachineFacts, { ports = [] }: PreflightWants): Problem[] {
  return ports
    .filter(({ port }) => busyPorts.includes(port))
    .map(({ port, use }) => ({
      code: "port-busy",
      message: `Port ${port}, needed for ${use}, is in use: find its owner with "ss -ltnp 'sport = :${port}'", end it and run again.`,
    }));
}

function gib(bytes: number): string {
  return (bytes / GIB).toFixed(bytes % GIB === 0 ? 0 : 1);
}
