import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import type { Progress } from "../../local/progress.ts";
import { regionsOf } from "./centers.ts";
import { type Contender, ourOperator, peerOperator } from "./contender.ts";
import { type Figures, runCourse } from "./course.ts";
import { ensureKwok } from "./kwok.ts";
import { startStack } from "./stack.ts";
import { compare, type Row, toText } from "./table.ts";

export interface OperatorBenchOptions {
  readonly centers: number;
  readonly workers: number;
  readonly idleSeconds: number;
  readonly quietMs?: number;
  /** How the peer makes absent objects; "none" leaves it out. */
  readonly peer: "apply" | "create" | "none";
  /** Leaves ours out, for a look at the peer alone. */
  readonly withoutOurs?: boolean;
  readonly json?: string | undefined;
  readonly profileDir?: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Two stores, one process of all services, one Job. */
const PODS_PER_CENTER = 4;
/** Centers beside those that are counted: one to warm up, two broken ones and two batches. */
const EXTRA_CENTERS = 103;

export interface OperatorBenchResult {
  readonly figures: readonly Figures[];
  readonly rows: readonly Row[];
}

/** Measures our operator and the peer, one after the other, each on a control plane of its own. */
export async function runOperatorBench(options: OperatorBenchOptions): Promise<OperatorBenchResult> {
  const { centers, workers, progress, signal } = options;
  const kwok = await ensureKwok(progress, signal);
  const regions = regionsOf(centers + EXTRA_CENTERS);
  const contenders: Contender[] = [];
  if (options.peer !== "none")
    contenders.push(await peerOperator({ workers, writes: options.peer, report: progress, signal }));
  if (options.withoutOurs !== true)
    contenders.push(ourOperator({ workers, regions, profileDir: options.profileDir }));
  const figures: Figures[] = [];
  for (const contender of contenders) {
    const stack = await startStack({
      ...{ kwok, centers: centers + EXTRA_CENTERS, podsPerCenter: PODS_PER_CENTER, report: progress, signal },
    });
    try {
      const found = await runCourse({
        ...{ stack, contender, centers, idleSeconds: options.idleSeconds, report: progress, signal },
        ...(options.quietMs === undefined ? {} : { quietMs: options.quietMs }),
      });
      figures.push(found);
      // What was found so far is kept, should a later contender fail.
      if (options.json !== undefined) writeFileSync(options.json, toJson(options, figures, []));
    } finally {
      await stack.close();
    }
  }
  const of = (name: Contender["name"]) => figures.find(({ contender }) => contender === name);
  const ours = of("fulfillment-cells");
  const peer = of("controller-runtime");
  if (ours && peer && ours.objectsPerCenter !== peer.objectsPerCenter)
    throw new Error(
      `The contenders made different children (${ours.objectsPerCenter} and ${peer.objectsPerCenter} objects per center): no ratio is meant by that.`,
    );
  const rows = ours === undefined ? [] : compare(ours, peer);
  if (options.json !== undefined) writeFileSync(options.json, toJson(options, figures, rows));
  return { figures, rows };
}

function toJson(options: OperatorBenchOptions, figures: readonly Figures[], rows: readonly Row[]): string {
  const [cpu] = cpus();
  const machine = {
    cpus: cpus().length,
    model: cpu?.model ?? "",
    memoryGb: Math.round(totalmem() / 2 ** 30),
  };
  const { centers, workers, idleSeconds, peer } = options;
  const metrics = rows.map(({ metric, unit, ours, peer: theirs, ratio, ok }) => ({
    metric,
    unit,
    ours,
    ...(theirs === undefined ? {} : { peer: theirs }),
    ...(ratio === undefined ? {} : { ratio }),
    ...(ok === undefined ? {} : { ok }),
  }));
  const setUp = { centers, workers, idleSeconds, peerWrites: peer, node: process.version, machine };
  return `${JSON.stringify({ bench: "operator", peer: "controller-runtime", setUp, metrics, figures }, undefined, 2)}\n`;
}

/** What a run found, for people. */
export function describe(result: OperatorBenchResult): string {
  const details = result.figures.map((one) => {
    const calls = Object.entries(one.calls)
      .slice(0, 24)
      .map(([call, count]) => `${call} ${(count / one.centers).toFixed(2)}`)
      .join(", ");
    return `${one.contender}: ${one.objectsPerCenter} objects per center; requests per center: ${calls}`;
  });
  return [...(result.rows.length > 0 ? [toText(result.rows)] : []), ...details].join("\n\n");
}
