import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureProgram, type GoModule } from "../../local/cluster/binaries.ts";
import { type ProcessRecord, startProcess, stopProcess, tail } from "../../local/cluster/process.ts";
import type { Report } from "../../local/cluster/report.ts";
import { freePorts } from "../../local/ports.ts";
import { type OperatorSettings, settingsSchema } from "../../operator/api/settings.ts";
import { until } from "./must.ts";
import { makeTemplate } from "./template.ts";

/** Namespace of the contender's Lease, and of the gateways' keys. */
export const NAMESPACE = "bench-operator";

/** What both contenders build cells from. */
export const ENVIRONMENT = {
  POD_NAMESPACE: NAMESPACE,
  CELL_IMAGE: "registry.example/cell:1",
  POSTGRES_IMAGE: "registry.example/postgres:17",
  REDIS_IMAGE: "registry.example/redis:8",
  KAFKA_BROKERS: "kafka.bench-operator.svc:9092",
  KAFKA_REPLICAS: "1",
  PSP_URL: "http://psp-sandbox.bench-operator.svc:8090",
  PSP_NAMESPACE: NAMESPACE,
  LOG_LEVEL: "warn",
  BIND_HOST: "127.0.0.1",
} as const;

export const SETTINGS: OperatorSettings = settingsSchema.parse(ENVIRONMENT);

/** An operator under test as a process of its own. */
export interface Operator {
  readonly record: ProcessRecord;
  /** When the process was started, on performance.now()'s clock. */
  readonly startedMs: number;
  /**
   * Sums of metrics over the centers' controller, in the order asked for, by one look, since each look costs the process what it
   * is measured by; undefined while it does not answer.
   */
  metrics(...names: readonly string[]): Promise<readonly number[] | undefined>;
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: "fulfillment-cells" | "controller-runtime";
  /** How its requests are told apart in the audit log. */
  readonly userAgent: string;
  start(where: { readonly dir: string; readonly kubeconfigPath: string }): Promise<Operator>;
}

/** What the chart tells Node for the operator. */
export const NODE_FLAGS = ["--expose-gc", "--heap-growing-percent=60", "--max-semi-space-size=16"] as const;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STOP_GRACE_MS = 20_000;

/** Our operator, as the image runs it. */
export function ourOperator(options: {
  readonly workers: number;
  readonly regions: readonly string[];
  /** Folder for a CPU profile, when one is wanted. */
  readonly profileDir?: string | undefined;
}): Contender {
  const profile =
    options.profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profileDir}`];
  return {
    name: "fulfillment-cells",
    userAgent: "fulfillment-cells-operator",
    async start({ dir, kubeconfigPath }) {
      const [port = 0] = await freePorts(1);
      const env = {
        ...ENVIRONMENT,
        KUBECONFIG: kubeconfigPath,
        WORKERS: String(options.workers),
        REGIONS: options.regions.join(","),
        PORT: String(port),
        // As in the image: what the first process compiled is there for the next one.
        NODE_COMPILE_CACHE: join(dir, "compile-cache"),
      };
      const argv = [process.execPath, ...NODE_FLAGS, ...profile, join(ROOT, "operator", "main.ts")];
      return startOperator(dir, port, argv, env);
    },
  };
}

const PEER: GoModule = {
  name: "operator",
  source: fileURLToPath(new URL("../go/operator", import.meta.url)),
  variables: () => ({}),
  links: [],
  title: "Build the controller-runtime operator",
  why: "the peer, once per machine, 1 to 3 minutes on 2 cores",
};

/** The controller-runtime operator, built when it is not there. */
export async function peerOperator(options: {
  readonly workers: number;
  readonly writes: "apply" | "create";
  readonly report: Report;
  readonly signal: AbortSignal;
}): Promise<Contender> {
  const program = await ensureProgram(PEER, options.report, options.signal);
  const template = await makeTemplate(SETTINGS);
  return {
    name: "controller-runtime",
    userAgent: "bench-operator-go",
    async start({ dir, kubeconfigPath }) {
      const templatePath = join(dir, "template.json");
      writeFileSync(templatePath, JSON.stringify(template));
      const [port = 0] = await freePorts(1);
      const argv = [
        program,
        `--kubeconfig=${kubeconfigPath}`,
        `--template=${templatePath}`,
        `--writes=${options.writes}`,
        `--metrics=127.0.0.1:${port}`,
        `--namespace=${NAMESPACE}`,
        `--workers=${options.workers}`,
      ];
      return startOperator(dir, port, argv, {});
    },
  };
}

async function startOperator(
  dir: string,
  port: number,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Operator> {
  const startedMs = performance.now();
  const logPath = join(dir, "logs", "operator.log");
  const record = await startProcess({ name: "operator", argv, env, logPath });
  return {
    record,
    startedMs,
    async metrics(...names) {
      try {
        const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
          signal: AbortSignal.timeout(5_000),
        });
        if (!answer.ok) return undefined;
        const text = await answer.text();
        return names.map((name) => sumOf(text, name));
      } catch {
        return undefined;
      }
    },
    stop: () => stopProcess(record, STOP_GRACE_MS),
  };
}

/** Sum of the samples of a metric that belong to the controller of centers. */
export function sumOf(text: string, name: string): number {
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`) || !line.includes('"fulfillmentcenter"')) continue;
    sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

/** Waits until an operator serves its metrics. */
export async function waitServing(operator: Operator, signal: AbortSignal): Promise<void> {
  try {
    await until("The operator's start", async () => (await operator.metrics()) !== undefined, {
      deadlineMs: 60_000,
      signal,
    });
  } catch (error) {
    throw new Error(`${(error as Error).message} ${tail(operator.record.logPath, 10)}`);
  }
}
