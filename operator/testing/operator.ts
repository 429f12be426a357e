import type { KubeClient } from "../../platform/kube/client.ts";
import type { KubeObject, ObjectName } from "../../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import type { Reach } from "../brokers.ts";
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
  /** Marks of the centers for which it is dead. */
  readonly dead: ReadonlySet<string>;
  stop(): Promise<void>;
}

/** What a dead process gets for each of its calls; nothing of it reaches the API server. */
const DEAD = { ok: false, code: "aborted", message: "the process is dead" } as const;

export interface TestOperatorOptions {
  readonly identity?: string;
  readonly nowMs?: () => number;
  readonly ordersUrl?: (center: string) => string | undefined;
  readonly reachBrokers?: Reach;
  /**
   * By the mark that is in every name of a center's: dies for this center after this many of its writes. The last of them
   * reaches the API server, its answer never comes back, nor does any later call about this center.
   */
  readonly killAfterWrites?: ReadonlyMap<string, number>;
}

/** Runs an operator in this process against the test API server, leading within a second. */
export async function startTestOperator(
  cluster: TestCluster,
  options: TestOperatorOptions = {},
): Promise<TestOperator> {
  const writes: Write[] = [];
  const dead = new Set<string>();
  const stop = new AbortController();
  const operator = createOperator({
    config: cluster.config,
    settings: { ...SETTINGS, namespace: cluster.namespace },
    log: silentLog,
    metrics: silentMetrics,
    identity: options.identity ?? "operator-test",
    ...(options.nowMs === undefined ? {} : { nowMs: options.nowMs }),
    ...(options.ordersUrl === undefined ? {} : { ordersUrl: options.ordersUrl }),
    ...(options.reachBrokers === undefined ? {} : { reachBrokers: options.reachBrokers }),
    // Long enough for a machine that is busy with other tests; one that stops gives it up at once.
    lease: { durationMs: 30_000, renewDeadlineMs: 20_000, retryMs: 400 },
    wrapClient: (client) =>
      mortalClient(recordingClient(client, writes), dead, options.killAfterWrites ?? new Map()),
  });
  const running = operator.run(stop.signal);
  await until("the operator follows the cluster", () => operator.hasSynced());
  return {
    operator,
    writes,
    dead,
    async stop() {
      stop.abort();
      if ((await running) === "lost") throw new Error("the operator lost its lease under way");
    },
  };
}

const WRITING = ["create", "apply", "updateStatus", "patch", "remove", "update"] as const;
type Verb = (typeof WRITING)[number];
type Send = () => Promise<unknown>;

/** Every write goes through `around`. Events do not: they are best effort. */
function aroundWrites(
  client: KubeClient,
  around: (verb: Verb, target: string, send: Send) => Promise<unknown>,
): KubeClient {
  const wrap = (verb: Verb) => {
    const call = client[verb] as (ref: { kind: string }, ...rest: unknown[]) => Promise<unknown>;
    return (ref: { kind: string }, object: Partial<ObjectName & KubeObject>, ...rest: unknown[]) => {
      const send = () => call.call(client, ref, object, ...rest);
      const { name = "", namespace = "" } = object.metadata ?? object;
      return ref.kind === "Event" ? send() : around(verb, `${namespace} ${ref.kind}/${name}`.trim(), send);
    };
  };
  const wrapped = Object.fromEntries(WRITING.map((verb) => [verb, wrap(verb)]));
  return { ...client, ...wrapped } as KubeClient;
}

/** Keeps the writes that went out. */
function recordingClient(client: KubeClient, writes: Write[]): KubeClient {
  return aroundWrites(client, async (verb, target, send) => {
    const answer = await send();
    writes.push({ verb, target });
    return answer;
  });
}

/** Gives no more answers about a center whose number of writes has been reached. */
function mortalClient(
  client: KubeClient,
  dead: Set<string>,
  limits: ReadonlyMap<string, number>,
): KubeClient {
  const sent = new Map<string, number>();
  return aroundWrites(client, async (_verb, target, send) => {
    const mark = [...limits.keys()].find((each) => target.includes(each));
    if (mark === undefined) return send();
    if (dead.has(mark)) return DEAD;
    const answer = await send();
    const count = (sent.get(mark) ?? 0) + 1;
    sent.set(mark, count);
    if (count < (limits.get(mark) ?? 0)) return answer;
    dead.add(mark);
    return DEAD;
  });
}
