import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDir } from "../setup/paths.ts";
import { tryRun } from "./command.ts";
import { ClusterError } from "./errors.ts";
import { withLock } from "./lock.ts";
import type { Report } from "./report.ts";

/** Programs built from the Go modules beside this folder. */
export interface Binaries {
  /** The multi-call executable: its first argument names the part. */
  readonly kubernetes: string;
  readonly coredns: string;
  /** The process of a pod's sandbox. */
  readonly pause: string;
  /** Enforces NetworkPolicies on the node. */
  readonly netpolicy: string;
  readonly kubectl: string;
  readonly helm: string;
}

/** A program that is built from a Go module of its own. */
export interface GoModule {
  readonly name: string;
  /** Folder of go.mod; by default the one of that name beside this folder. */
  readonly source?: string;
  /** Go variables to set, from the versions of the modules that go.mod requires. */
  readonly variables: (versionOf: (module: string) => string) => Readonly<Record<string, string>>;
  readonly links: readonly string[];
  readonly title: string;
  readonly why: string;
}

const KUBERNETES: GoModule = {
  name: "kubernetes",
  variables: kubernetesVersions,
  links: ["kubectl", "helm"],
  title: "Build Kubernetes",
  why: "API server, etcd, kubelet, kubectl and helm from source, once per machine: 5 to 8 minutes on 2 cores",
};

const COREDNS: GoModule = {
  name: "coredns",
  variables: () => ({}),
  links: [],
  title: "Build CoreDNS",
  why: "names of services inside the cluster, once per machine: about 1 minute on 2 cores",
};

const PAUSE: GoModule = {
  name: "pause",
  variables: () => ({}),
  links: [],
  title: "Build the pause program",
  why: "the process that holds a pod's network, a second",
};

const NETPOLICY: GoModule = {
  name: "netpolicy",
  variables: () => ({}),
  links: [],
  title: "Build the network policy agent",
  why: "filters the packets between pods; most of it was compiled for Kubernetes already",
};

const PROBE: GoModule = {
  name: "probe",
  variables: () => ({}),
  links: [],
  title: "Build the probe",
  why: "a pod that tells what it sees, for the tests of the cluster, some seconds",
};

const BUILD_FLAGS = ["-mod=readonly", "-trimpath"];
const BUILD_BOUND_MS = 40 * 60_000;
const COUNT_EVERY_MS = 10_000;
const KEPT_BUILDS = 4;

/** Without these the API server calls itself v0.0.0, and charts that ask for a version refuse it. */
function kubernetesVersions(versionOf: (module: string) => string): Record<string, string> {
  const version = versionOf("k8s.io/kubernetes");
  const [major = "", minor = ""] = version.slice(1).split(".");
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  const packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
  return Object.fromEntries([
    ["helm.sh/helm/v4/internal/version.version", versionOf("helm.sh/helm/v4")],
    ...packages.flatMap((path) => Object.entries(values).map(([name, value]) => [`${path}.${name}`, value])),
  ]);
}

/**
 * Builds what is not built yet, and returns the paths. A build is kept under a hash of its sources and of the Go
 * version, so the same sources are built once per machine.
 */
export async function ensureBinaries(report: Report, signal?: AbortSignal): Promise<Binaries> {
  const context = { report, signal, goVersion: await goVersion() };
  const kubernetes = await ensureModule(KUBERNETES, context);
  const coredns = await ensureModule(COREDNS, context);
  const pause = await ensureModule(PAUSE, context);
  const netpolicy = await ensureModule(NETPOLICY, context);
  return {
    kubernetes: join(kubernetes, "kubernetes"),
    coredns: join(coredns, "coredns"),
    pause: join(pause, "pause"),
    netpolicy: join(netpolicy, "netpolicy"),
    kubectl: join(kubernetes, "kubectl"),
    helm: join(kubernetes, "helm"),
  };
}

/** Builds the program that the tests of the cluster run in pods. @returns its path */
export async function ensureProbe(report: Report): Promise<string> {
  const context = { report, signal: undefined, goVersion: await goVersion() };
  return join(await ensureModule(PROBE, context), "probe");
}

/** Builds the program of another Go module, once for its sources. @returns its path */
export async function ensureProgram(module: GoModule, report: Report, signal?: AbortSignal): Promise<string> {
  const context = { report, signal, goVersion: await goVersion() };
  return join(await ensureModule(module, context), module.name);
}

interface BuildContext {
  readonly report: Report;
  readonly signal: AbortSignal | undefined;
  readonly goVersion: string;
}

async function goVersion(): Promise<string> {
  const result = await tryRun(["go", "env", "GOVERSION", "GOARCH"]);
  const version = /^go1\.(\d+)/.exec(result.stdout);
  if (result.exitCode !== 0 || version?.[1] === undefined || Number(version[1]) < 25) {
    const found = result.stdout.trim() || result.stderr.trim();
    throw new ClusterError(
      "tool-missing",
      `Go 1.25 or newer is needed to build Kubernetes (found: ${found}): install it and run again.`,
    );
  }
  return result.stdout.trim();
}

async function ensureModule(module: GoModule, context: BuildContext): Promise<string> {
  const source = module.source ?? fileURLToPath(new URL(`../go/${module.name}`, import.meta.url));
  const bin = join(cacheDir(), "bin");
  const target = join(
    bin,
    `${module.name}-${sourceHash(source, context.goVersion, linkerFlags(module, source))}`,
  );
  if (isComplete(target, module)) return touched(target);
  return withLock(join(bin, `${module.name}.lock`), `building ${module.name}`, BUILD_BOUND_MS, async () => {
    if (isComplete(target, module)) return touched(target);
    await context.report.step(module.title, module.why, () => build(module, source, target, context));
    prune(bin, module.name);
    return target;
  });
}

function linkerFlags(module: GoModule, source: string): string {
  const text = readFileSync(join(source, "go.mod"), "utf8");
  const versionOf = (path: string): string => {
    const line = text.split("\n").find((one) => one.trim().startsWith(`${path} v`));
    if (line === undefined) throw new Error(`${source}/go.mod does not require ${path}`);
    return line.trim().split(" ")[1] ?? "";
  };
  const sets = Object.entries(module.variables(versionOf)).map(([name, value]) => `-X ${name}=${value}`);
  return ["-s", "-w", ...sets].join(" ");
}

function sourceHash(source: string, version: string, flags: string): string {
  const hash = createHash("sha256").update(`${version}\n${BUILD_FLAGS.join(" ")} ${flags}\n`);
  const files = readdirSync(source).filter((file) => /(?<!_test)\.(go|mod|sum)$/.test(file));
  for (const file of files.sort()) hash.update(`${file}\n`).update(readFileSync(join(source, file)));
  return hash.digest("hex").slice(0, 16);
}

/** A folder gets its final name only when it is whole, but a person may have emptied it since. */
function isComplete(target: string, module: GoModule): boolean {
  return [module.name, ...module.links].every((file) => existsSync(join(target, file)));
}

function touched(target: string): string {
  utimesSync(target, new Date(), new Date());
  return target;
}

async function build(module: GoModule, source: string, target: string, context: BuildContext): Promise<void> {
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  rmSync(target, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-buildvcs=false" };
  const output = join(partial, module.name);
  const signal = context.signal === undefined ? {} : { signal: context.signal };
  const options = { cwd: source, env, timeoutMs: BUILD_BOUND_MS, ...signal };
  context.report.note(`fetch the modules that go.sum lists`);
  const listed = await tryRun(["go", "list", "-mod=readonly", "-deps", "."], options);
  const total = listed.stdout.split("\n").length - 1;
  const words = ["-v", ...BUILD_FLAGS, "-ldflags", linkerFlags(module, source), "-o", output, "."];
  const counter = packageCounter(total, context.report);
  const result = await tryRun(["go", "build", ...words], { ...options, onStderr: counter });
  if (result.exitCode !== 0) {
    rmSync(partial, { recursive: true, force: true });
    const lines = result.stderr
      .split("\n")
      .filter((line) => /\s|:/.test(line))
      .slice(-12)
      .join("\n");
    throw new ClusterError("build-failed", `Building ${module.name} from ${source} failed: ${lines}`);
  }
  for (const link of module.links) symlinkSync(module.name, join(partial, link));
  renameSync(partial, target);
}

/**
 * Counts what `go build -v` names: each package as it is compiled. Packages that Go has compiled for another program
 * are not named, so the count may end early.
 */
function packageCounter(total: number, report: Report): (chunk: string) => void {
  let packages = 0;
  let told = 0;
  return (chunk) => {
    packages += chunk.split("\n").filter((line) => line !== "" && !line.startsWith("go: ")).length;
    if (performance.now() - told < COUNT_EVERY_MS) return;
    told = performance.now();
    report.note(`${packages} of ${total} packages compiled`);
  };
}

function prune(bin: string, name: string): void {
  const builds = readdirSync(bin)
    .filter((entry) => entry.startsWith(`${name}-`) && !entry.endsWith(".partial"))
    .map((entry) => join(bin, entry))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of builds.slice(KEPT_BUILDS)) rmSync(old, { recursive: true, force: true });
}
