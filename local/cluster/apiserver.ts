import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { freePorts } from "../ports.ts";
import { type Api, createApi } from "./api.ts";
import { ensureBinaries } from "./binaries.ts";
import { makeCertificates } from "./certificates.ts";
import {
  AUDIT_POLICY,
  apiServerArgv,
  type ControlPlane,
  controllerManagerArgv,
  etcdArgv,
  schedulerArgv,
  serverAddresses,
} from "./components.ts";
import { ClusterError } from "./errors.ts";
import { withLock } from "./lock.ts";
import { isAlive, type ProcessRecord, startProcess, stopProcess } from "./process.ts";
import type { Report } from "./report.ts";
import { readState, writeState } from "./state.ts";
import { waitUntil } from "./wait.ts";

export interface ApiServerOptions {
  /** Absolute path of a folder that belongs to this API server alone. */
  readonly dir: string;
  readonly report: Report;
  /** Also run the controllers (namespaces, garbage collection, deployments, ...); default true. */
  readonly withControllers?: boolean;
  /** Write each request to `<dir>/audit.log` at level Metadata; default false. */
  readonly auditLog?: boolean;
  /** Also run the scheduler, for nodes that somebody else pretends to be; default false. */
  readonly withScheduler?: boolean;
  /** Limits for thousands of objects at once, as a large cluster sets them; default false. */
  readonly forLoad?: boolean;
  /** More flags for the API server itself, to make it like another version or configuration. */
  readonly flags?: readonly string[];
}

/** A real API server on the loopback address, without nodes: pods are accepted and stay pending. */
export interface ApiServer {
  readonly kubeconfigPath: string;
  readonly url: string;
  readonly pids: readonly number[];
  /** The processes with their names: etcd, kube-apiserver and what else was asked for. */
  readonly processes: readonly ProcessRecord[];
  /** Where the requests are written when `auditLog` was asked for. */
  readonly auditLogPath: string;
  /** Ends every process and removes the folder. */
  stop(): Promise<void>;
  /** Kills the API server alone and starts it again with the same data and address. */
  restart(): Promise<void>;
}

const READY_BOUND_MS = 120_000;

/** Starts etcd, the API server and the controllers. What a crashed run left in the folder is removed first. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { dir, report } = options;
  if (!isAbsolute(dir)) throw new TypeError(`the folder of an API server must be an absolute path: ${dir}`);
  const { kubernetes } = await ensureBinaries(report);
  mkdirSync(dir, { recursive: true });
  return withLock(`${dir}.lock`, `the API server in ${dir}`, READY_BOUND_MS, async () => {
    await stopApiServer(dir);
    try {
      return await report.step("Start an API server", "etcd, API server and controllers: about 5 s", () =>
        startIn(options, kubernetes),
      );
    } catch (error) {
      await stopProcesses(dir);
      throw error;
    }
  });
}

async function startIn(options: ApiServerOptions, kubernetes: string): Promise<ApiServer> {
  const { dir } = options;
  const stateFile = join(dir, "state.json");
  const withControllers = options.withControllers ?? true;
  const [etcdPort, etcdPeerPort, apiPort, managerPort, schedulerPort] = (await freePorts(5)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const url = `https://127.0.0.1:${apiPort}`;
  const certsDir = join(dir, "certs");
  const policyPath = join(dir, "audit-policy.yaml");
  const auditLogPath = join(dir, "audit.log");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(policyPath, AUDIT_POLICY);
  const addresses = serverAddresses("127.0.0.1");
  await makeCertificates({ kubernetes, dir: certsDir, apiUrl: url, nodeName: "none", addresses });
  const plane: ControlPlane = {
    ...{ kubernetes, certsDir, etcdDir: join(dir, "etcd"), etcdPort, etcdPeerPort, apiPort, withControllers },
    ...{ address: "127.0.0.1", announced: false, forLoad: options.forLoad ?? false },
    ...(options.flags === undefined ? {} : { flags: options.flags }),
    ...(options.auditLog ? { audit: { policyPath, logPath: auditLogPath } } : {}),
  };
  const processes: ProcessRecord[] = [];
  const start = async (name: string, argv: readonly string[], env = {}): Promise<void> => {
    processes.push(await startProcess({ name, argv, env, logPath: join(dir, "logs", `${name}.log`) }));
    writeState(stateFile, { phase: "starting", kubernetes, apiUrl: url, processes, images: [] });
  };
  await start("etcd", etcdArgv(plane));
  // With thousands of objects a collector that runs as often as by default takes a tenth of its time.
  await start("kube-apiserver", apiServerArgv(plane), options.forLoad ? { GOGC: "300" } : {});
  const api = createApi(url, certsDir);
  await waitForApi(api, processes);
  if (withControllers) {
    await start("kube-controller-manager", controllerManagerArgv(plane, managerPort));
    await waitForControllers(api, processes);
  }
  if (options.withScheduler) await start("kube-scheduler", schedulerArgv(plane, schedulerPort));
  writeState(stateFile, { phase: "ready", kubernetes, apiUrl: url, processes, images: [] });
  return handle(dir, url, api, auditLogPath);
}

function handle(dir: string, url: string, api: Api, auditLogPath: string): ApiServer {
  const stateFile = join(dir, "state.json");
  return {
    kubeconfigPath: join(dir, "certs", "admin.kubeconfig"),
    url,
    auditLogPath,
    get pids() {
      return (readState(stateFile)?.processes ?? []).map((record) => record.pid);
    },
    get processes() {
      return readState(stateFile)?.processes ?? [];
    },
    stop: () => stopApiServer(dir),
    async restart() {
      const state = readState(stateFile);
      const old = state?.processes.find((record) => record.name === "kube-apiserver");
      if (state === undefined || old === undefined) {
        throw new ClusterError("not-running", `No API server runs in ${dir}: start it first.`);
      }
      await stopProcess(old, 0);
      const next = await startProcess(old);
      const processes = state.processes.map((record) => (record === old ? next : record));
      writeState(stateFile, { ...state, processes });
      await waitForApi(
        api,
        processes.filter((record) => record.name !== "kube-controller-manager"),
      );
    },
  };
}

/** Waits until the API server says that it is ready. */
export function waitForApi(api: Api, needs: readonly ProcessRecord[], signal?: AbortSignal): Promise<void> {
  return waitUntil({
    what: "The API server's start",
    boundMs: READY_BOUND_MS,
    signal,
    needs,
    check: async () => (await api.call("GET", "/readyz")).status === 200,
  });
}

/** The first thing the controllers do for a new namespace is its service account. */
function waitForControllers(api: Api, needs: readonly ProcessRecord[]): Promise<void> {
  return waitUntil({
    what: "The controllers' start",
    boundMs: READY_BOUND_MS,
    needs,
    check: async () =>
      (await api.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")).status === 200,
  });
}

/** Ends what runs in a folder of `startApiServer` and removes the folder; nothing to do when there is none. */
export async function stopApiServer(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  await stopProcesses(dir);
  rmSync(dir, { recursive: true, force: true });
}

async function stopProcesses(dir: string): Promise<void> {
  const processes = readState(join(dir, "state.json"))?.processes ?? [];
  for (const record of [...processes].reverse()) if (isAlive(record)) await stopProcess(record, 1_500);
}
