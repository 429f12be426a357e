import { setTimeout as sleep } from "node:timers/promises";
import type { Report } from "../../local/cluster/report.ts";
import { auditEnd, countCalls } from "./audit.ts";
import { measureNeighbours, type Neighbours } from "./broken.ts";
import { centerNames, watchCenters } from "./centers.ts";
import { type Contender, type Operator, SETTINGS, waitServing } from "./contender.ts";
import { measureEdits } from "./edits.ts";
import { objectsPerCenter } from "./gate.ts";
import { type MachineState, watchMachine } from "./machine.ts";
import { until } from "./must.ts";
import { type Quantiles, quantiles } from "./quantiles.ts";
import type { Stack } from "./stack.ts";
import { cpuSince, usageOf } from "./usage.ts";

/** What one contender did on one machine with one number of centers. */
export interface Figures {
  readonly contender: Contender["name"];
  readonly centers: number;
  readonly objectsPerCenter: number;
  readonly readySeconds: number;
  /** Of it, until the API server had taken the last center. */
  readonly createSeconds: number;
  readonly objectsPerSecond: number;
  readonly reconciles: number;
  readonly reconcilesPerSecond: number;
  /** CPU seconds by process from the first creation to the last Ready. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  /** While they became Ready. */
  readonly machine: MachineState;
  /** Requests of the operator from the first creation to the last Ready, by "verb resource". */
  readonly calls: Readonly<Record<string, number>>;
  readonly callsPerCenter: number;
  readonly refused: number;
  readonly peakMb: number;
  /** Resident after the idle time; per 1,000 centers by the growth since there were none. */
  readonly idleMb: number;
  readonly mbPer1000: number;
  readonly idle: {
    readonly seconds: number;
    readonly writes: number;
    readonly lists: number;
    readonly lease: number;
  };
  readonly eventToWriteMs: Quantiles;
  readonly restart: Restart & { readonly allSeconds: readonly number[] };
  readonly neighbours: Neighbours;
}

/** A new process, from its start until each center was reconciled and nothing waits. */
export interface Restart {
  readonly seconds: number;
  readonly calls: Readonly<Record<string, number>>;
  readonly writes: number;
}

export interface CourseOptions {
  readonly stack: Stack;
  readonly contender: Contender;
  readonly centers: number;
  readonly idleSeconds: number;
  /** How long nothing must be written before a figure is taken that needs quiet; default 5 s. */
  readonly quietMs?: number;
  readonly report: Report;
  readonly signal: AbortSignal;
}

const QUIET_MS = 5_000;
const QUIET_BOUND_MS = 120_000;
/**
 * Without one more center that is Ready; a run takes as long as its machine needs. A first-in first-out queue takes one step of every center before the
 * next step of any, so that the first may be Ready only when nearly all are.
 */
const stallMs = (centers: number) => 300_000 + 3_000 * centers;
const EDITS = 200;
const RECONCILES = "controller_runtime_reconcile_total";
/** What else the machine does changes one of them more than anything here could. */
const RESTARTS = 3;
const BATCH = 50;

/** Sends one contender over the whole course. */
export async function runCourse(options: CourseOptions): Promise<Figures> {
  const { stack, contender, centers, report, signal } = options;
  const where = { dir: stack.dir, kubeconfigPath: stack.operatorKubeconfig };
  let operator: Operator | undefined;
  const watcher = await watchCenters(stack.client, signal);
  try {
    operator = await contender.start(where);
    await waitServing(operator, signal);
    // One center nobody counts: it shows that the contender leads, and its code has run once.
    await watcher.create(["warm-up-0000"], SETTINGS.images.cell);
    await watcher.waitReady(["warm-up-0000"], { stallMs: 90_000, signal });
    await quiet(options);
    const emptyMb = usageOf(operator.record.pid).rssMb;

    const names = centerNames("center", centers);
    const made = await report.step(
      `${contender.name}: ${centers} centers to Ready`,
      "namespace, policies, Secrets, stores, Job, Deployment, Services each",
      () => bringUp(options, operator as Operator, watcher, names),
    );
    await report.step(`${contender.name}: wait until it writes nothing`, "a while without a write", () =>
      quiet(options),
    );
    const perCenter = await objectsPerCenter(stack.client, names);
    const idle = await report.step(
      `${contender.name}: ${options.idleSeconds} s idle`,
      "nothing happens to any center",
      () => idleTime(options),
    );
    const { rssMb, peakMb } = usageOf(operator.record.pid);
    const edits = await report.step(`${contender.name}: edits by hand`, "how soon each is corrected", () =>
      measureEdits({
        ...{
          client: stack.client,
          auditPath: stack.server.auditLogPath,
          userAgent: contender.userAgent,
          signal,
        },
        names: names.slice(0, EDITS),
      }),
    );
    if (edits.missed > 0) throw new Error(`${edits.missed} edits were never corrected by the operator.`);
    await quiet(options);
    const restart = await report.step(
      `${contender.name}: restart`,
      "three times, until every center was looked at once",
      async () => {
        const all: Restart[] = [];
        for (let turn = 0; turn < RESTARTS; turn++) {
          await operator?.stop();
          const from = auditEnd(stack.server.auditLogPath);
          operator = await contender.start(where);
          all.push(await restarted(options, operator, from, centers + 1));
          await quiet(options);
        }
        return medianOf(all);
      },
    );
    const neighbours = await report.step(
      `${contender.name}: broken neighbours`,
      "a batch of centers without and with two broken ones",
      () =>
        measureNeighbours({
          client: stack.client,
          watcher,
          batch: Math.min(BATCH, centers),
          stallMs: stallMs(BATCH),
          signal,
        }),
    );
    return {
      contender: contender.name,
      centers,
      objectsPerCenter: perCenter,
      ...made,
      objectsPerSecond: (centers * perCenter) / made.readySeconds,
      peakMb,
      idleMb: rssMb,
      mbPer1000: emptyMb + ((rssMb - emptyMb) * 1000) / centers,
      idle,
      eventToWriteMs: quantiles(edits.delaysMs),
      restart,
      neighbours,
    };
  } finally {
    await watcher.stop();
    await operator?.stop();
  }
}

async function bringUp(
  { stack, contender, centers, report, signal }: CourseOptions,
  operator: Operator,
  watcher: Awaited<ReturnType<typeof watchCenters>>,
  names: readonly string[],
) {
  const processes = [operator.record, ...stack.processes];
  const before = new Map(processes.map(({ name, pid }) => [name, usageOf(pid).cpuSeconds]));
  const reconciled = await reconcilesOf(operator);
  const { auditLogPath } = stack.server;
  const from = auditEnd(auditLogPath);
  const machine = watchMachine();
  const startMs = performance.now();
  await watcher.create(names, SETTINGS.images.cell);
  const createdMs = performance.now();
  await watcher.waitReady(names, { stallMs: stallMs(centers), signal, note: report.note });
  const readySeconds = (Math.max(...names.map((name) => watcher.readyMs.get(name)!)) - startMs) / 1000;
  const cpuSeconds = cpuSince(before, processes);
  const reconciles = (await reconcilesOf(operator)) - reconciled;
  const { calls, refused } = await countCalls(
    auditLogPath,
    { from, to: auditEnd(auditLogPath) },
    contender.userAgent,
  );
  const total = Object.values(calls).reduce((sum, count) => sum + count, 0);
  return {
    readySeconds,
    createSeconds: (createdMs - startMs) / 1000,
    reconciles,
    reconcilesPerSecond: reconciles / readySeconds,
    cpuSeconds,
    machine: machine.stop(),
    calls,
    callsPerCenter: total / centers,
    refused,
  };
}

async function reconcilesOf(operator: Operator): Promise<number> {
  const [count = 0] = (await operator.metrics(RECONCILES)) ?? [];
  return count;
}

/** Waits until the operator has written nothing for a while. */
async function quiet({ stack, contender, quietMs = QUIET_MS, signal }: CourseOptions): Promise<void> {
  const { auditLogPath } = stack.server;
  const bound = performance.now() + QUIET_BOUND_MS;
  for (let writes = 1; writes > 0; ) {
    const from = auditEnd(auditLogPath);
    await sleep(quietMs, undefined, { signal });
    const to = auditEnd(auditLogPath);
    ({ writes } = await countCalls(auditLogPath, { from, to }, contender.userAgent));
    if (writes > 0 && performance.now() > bound)
      throw new Error(
        `${contender.name} still writes (${writes} in ${quietMs} ms) although nothing happens.`,
      );
  }
}

async function idleTime({ stack, contender, idleSeconds, signal }: CourseOptions) {
  const { auditLogPath } = stack.server;
  const from = auditEnd(auditLogPath);
  const endMs = performance.now() + idleSeconds * 1000;
  await until("The end of the idle time", () => performance.now() >= endMs, {
    deadlineMs: idleSeconds * 1000 + 60_000,
    signal,
  });
  const { writes, lists, lease, calls } = await countCalls(
    auditLogPath,
    { from, to: auditEnd(auditLogPath) },
    contender.userAgent,
  );
  return { seconds: idleSeconds, writes, lists, lease, calls };
}

/** The middle one by its time; of what was written, all. */
function medianOf(all: readonly Restart[]): Figures["restart"] {
  const allSeconds = all.map(({ seconds }) => seconds);
  const [{ calls } = { calls: {} }] = all;
  const writes = all.reduce((sum, one) => sum + one.writes, 0);
  return { seconds: quantiles(allSeconds).p50, calls, writes, allSeconds };
}

async function restarted(
  { stack, contender, signal }: CourseOptions,
  operator: Operator,
  from: number,
  keys: number,
): Promise<Restart> {
  let doneMs = 0;
  await until(
    "The first look at every center",
    async () => {
      const [count = 0, depth] = (await operator.metrics(RECONCILES, "workqueue_depth")) ?? [];
      doneMs = performance.now();
      return count >= keys && depth === 0;
    },
    { deadlineMs: 120_000, pollMs: 50, signal },
  );
  const { auditLogPath } = stack.server;
  const { calls, writes } = await countCalls(
    auditLogPath,
    { from, to: auditEnd(auditLogPath) },
    contender.userAgent,
  );
  return { seconds: (doneMs - operator.startedMs) / 1000, calls, writes };
}
