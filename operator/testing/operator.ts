import type { KubeClient } from "../../platform/kube/client.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { createOperator, type Operator } from "../operator.ts";
import { SETTINGS } from "./center.ts";
import { type TestCluster, until } from "./cluster.ts";

/** One write that an operator sent to the API server. */
export interface Write {
  readonly verb: string;
  readonly target: string;
}

export interface TestOperator {
  readonly operator: Operator;
  readonly writes: Write[];
  stop(): Promise<void>;
}

/** What a dead process gets for each of its calls; nothing of it reaches the API server. */
const DEAD = { ok: false, code: "aborted", message: "the process is dead" } as const;

export interface TestOperatorOptions {
  readonly identity?: string;
  readonly nowMs?: () => number;
  /** Dies after this many writes: the write reaches the API server, its answer never comes back, nor does any later call. */
  readonly killAfterWrites?: number;
  readonly onKilled?: () => void;
}

/** Runs an operator in this process against the test API server, leading within a second. */
export async function startTestOperator(
  cluster: TestCluster,
  options: TestOperatorOptions = {},
): Promise<TestOperator> {
  const writes: Write[] = [];
  const stop = new AbortController();
  const operator = createOperator({
    config: cluster.config,
    settings: { ...SETTINGS, namespace: cluster.namespace },
    log: silentLog,
    metrics: silentMetrics,
    identity: options.identity ?? "operator-test",
    ...(options.nowMs === undefined ? {} : { nowMs: options.nowMs }),
    lease: { durationMs: 3000, renewDeadlineMs: 2000, retryMs: 400 },
    wrapClient: (client) => recordingClient(client, writes, options),
  });
  const running = operator.run(stop.signal);
  await until("the operator follows the cluster", () => operator.hasSynced());
  return {
    operator,
    writes,
    async stop() {
      stop.abort();
      await running;
    },
  };
}

/** Counts the writes that go out and, when asked to, dies after one of them. Events are not counted: they are best effort. */
function recordingClient(client: KubeClient, writes: Write[], options: TestOperatorOptions): KubeClient {
  let dead = false;
  const wrap = (verb: "create" | "apply" | "applyStatus" | "patch" | "remove" | "update") => {
    const call = client[verb] as (
      ref: { kind: string },
      target: unknown,
      ...rest: unknown[]
    ) => Promise<unknown>;
    return async (
      ref: { kind: string },
      target: { name?: string; metadata?: { name: string } },
      ...rest: unknown[]
    ) => {
      if (ref.kind === "Event") return call.call(client, ref, target, ...rest);
      if (dead) return DEAD;
      const answer = await call.call(client, ref, target, ...rest);
      writes.push({ verb, target: `${ref.kind}/${target.metadata?.name ?? target.name}` });
      if (options.killAfterWrites !== undefined && writes.length >= options.killAfterWrites) {
        dead = true;
        options.onKilled?.();
        return DEAD;
      }
      return answer;
    };
  };
  return {
    ...client,
    create: wrap("create"),
    apply: wrap("apply"),
    applyStatus: wrap("applyStatus"),
    patch: wrap("patch"),
    remove: wrap("remove"),
    update: wrap("update"),
  } as unknown as KubeClient;
}
