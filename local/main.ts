import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { startApiServer, stopApiServer } from "./cluster/apiserver.ts";
import { ensureBinaries } from "./cluster/binaries.ts";
import { startCluster } from "./cluster/cluster.ts";
import { type ComponentName, startComponent, stopComponent } from "./cluster/component.ts";
import { stopCluster } from "./cluster/down.ts";
import { ClusterError, messageOf } from "./cluster/errors.ts";
import { layoutOf, toolEnv } from "./cluster/layout.ts";
import { silentReport } from "./cluster/report.ts";
import { clusterStatus, knownIndexes } from "./cluster/status.ts";
import { createProgress } from "./progress.ts";
import { preflight } from "./setup/preflight.ts";
import { ensureSystemPackages } from "./setup/system.ts";

const USAGE = `usage: node local/main.ts COMMAND [--index N]

  up [--image FILE]...     start the local Kubernetes (index 0), or attach to it
  down [--all]             remove it and everything it left on the machine; --all: those of every index
  status                   say how each local cluster is
  kubeconfig               print the path of its kubeconfig
  kubectl ARGS...          kubectl against it
  helm ARGS...             helm against it
  stop PART, start PART    take a part away (kube-apiserver, kubelet, ...) and bring it back
  apiserver start|stop --dir D [--write-env F]    an API server without nodes, on the loopback address
`;

const OPTIONS = {
  index: { type: "string", default: "0" },
  all: { type: "boolean", default: false },
  image: { type: "string", multiple: true },
  dir: { type: "string" },
  "write-env": { type: "string" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

const progress = createProgress({ stream: process.stderr });

/** A person who stops the start half-way finds the machine as it was. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

async function up(values: Values): Promise<void> {
  const images = (values.image ?? []).map((path) => resolve(path));
  const signal = abortOnSignals();
  const checked = await preflight({ kubernetes: true });
  if (!checked.ok) throw new Error(checked.problems.map((problem) => problem.message).join("\n"));
  const installed = await ensureSystemPackages(progress, ["cluster"]);
  if (!installed.ok) throw new Error(installed.message);
  const cluster = await startCluster({ index: Number(values.index), report: progress, images, signal });
  process.stdout.write(
    `${cluster.attached ? "already up" : "up"}: export KUBECONFIG=${cluster.kubeconfigPath}\n`,
  );
}

async function down(values: Values): Promise<void> {
  const indexes = values.all ? knownIndexes() : [Number(values.index)];
  for (const index of indexes) {
    await stopCluster(index);
    process.stdout.write(`cluster ${index} is removed\n`);
  }
  if (indexes.length === 0) process.stdout.write("no cluster is there\n");
}

async function status(): Promise<void> {
  const indexes = knownIndexes();
  if (indexes.length === 0) process.stdout.write("no cluster is there\n");
  for (const index of indexes) {
    const one = await clusterStatus(index);
    const missing = one.stopped.length === 0 ? "" : `, stopped: ${one.stopped.join(" ")}`;
    process.stdout.write(
      `cluster ${index}: ${one.state}, ${one.processCount} processes, ${one.apiUrl}${missing}\n`,
    );
  }
}

async function apiserver(action: string | undefined, values: Values): Promise<void> {
  if (values.dir === undefined)
    throw new ClusterError("not-running", "apiserver needs --dir: the folder it may use.");
  const dir = resolve(values.dir);
  if (action === "stop") return stopApiServer(dir);
  if (action !== "start") throw new ClusterError("not-running", "Say apiserver start or apiserver stop.");
  const server = await startApiServer({ dir, report: progress, auditLog: true });
  const { kubectl } = await ensureBinaries(silentReport());
  const lines = {
    TEST_KUBECONFIG: server.kubeconfigPath,
    TEST_KUBECTL: kubectl,
    TEST_AUDIT_LOG: server.auditLogPath,
  };
  const text = Object.entries(lines)
    .map(([name, value]) => `export ${name}=${value}\n`)
    .join("");
  if (values["write-env"] !== undefined) writeFileSync(values["write-env"], text);
  process.stdout.write(text);
}

/** Runs kubectl or helm on this terminal. The index comes first, so that every other word reaches the tool as it is. */
async function tool(name: "kubectl" | "helm", words: readonly string[]): Promise<number> {
  const own = words[0] === "--index";
  const rest = words.slice(own ? 2 : 0);
  const layout = layoutOf(Number(own ? words[1] : 0));
  const binaries = await ensureBinaries(silentReport());
  const child = spawn(binaries[name], rest[0] === "--" ? rest.slice(1) : rest, {
    stdio: "inherit",
    env: toolEnv(layout),
  });
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done(code ?? 1));
  });
}

const NEEDS_ROOT: ReadonlySet<string> = new Set(["up", "down", "stop", "start"]);

async function dispatch(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "kubectl" || command === "helm") return tool(command, rest);
  const { values, positionals } = parseArgs({ args: rest, options: OPTIONS, allowPositionals: true });
  const part = positionals[0] as ComponentName;
  if (NEEDS_ROOT.has(command ?? "") && process.getuid?.() !== 0) {
    throw new Error(
      `"${command}" changes the network and the processes of the machine: run it as root (sudo).`,
    );
  }
  if (command === "up") await up(values);
  else if (command === "down") await down(values);
  else if (command === "status") await status();
  else if (command === "kubeconfig")
    process.stdout.write(`${layoutOf(Number(values.index)).kubeconfigPath}\n`);
  else if (command === "stop") await stopComponent(Number(values.index), part);
  else if (command === "start") await startComponent(Number(values.index), part);
  else if (command === "apiserver") await apiserver(positionals[0], values);
  else {
    process.stderr.write(USAGE);
    return 2;
  }
  return 0;
}

try {
  process.exitCode = await dispatch(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
