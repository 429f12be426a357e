import type { Progress } from "../../local/progress.ts";
import type { Latencies, Throughput } from "../load/drive.ts";
import type { Row } from "../load/rows.ts";
import { CONTENDERS } from "./contender.ts";
import type { Cost, Mix } from "./main.ts";
import { ensurePeers, openStage, type Player } from "./stage.ts";
import { toRows } from "./table.ts";

export interface HoldsBenchOptions {
  /** Rounds; in each, every contender has its turn. */
  readonly rounds: number;
  /** Length of each measurement. */
  readonly seconds: number;
  /** Callers who wait for their answers, when the peak is looked for. */
  readonly callers: number;
  /** Contenders to measure; all when left out. */
  readonly only?: readonly string[] | undefined;
  readonly mixes?: readonly MixName[];
  /** SKUs of the Zipf mix. */
  readonly skus: number;
  readonly profileDir?: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export type MixName = "hot" | "zipf";

/** One contender's turn in one round. */
export interface Turn {
  readonly contender: string;
  readonly mix: MixName;
  readonly peak: Throughput & Cost;
  /** At half and at four fifths of that peak. */
  readonly at50: Latencies;
  readonly at80: Latencies;
}

export interface HoldsBenchResult {
  readonly about: Readonly<Record<string, string>>;
  readonly turns: readonly Turn[];
  readonly rows: readonly Row[];
}

const ENOUGH = 100_000_000;
const ZIPF_EXPONENT = 1.1;
const TURN = "its peak, then 50 and 80 % of that";

const mixOf = (name: MixName, skus: number): Mix =>
  name === "hot"
    ? { skus: 1, exponent: 0, unitsEach: ENOUGH }
    : { skus, exponent: ZIPF_EXPONENT, unitsEach: ENOUGH };

/** Lets each contender take holds, in rounds that go through all of them, so that what else the machine does meets all alike. */
export async function runHoldsBench(options: HoldsBenchOptions): Promise<HoldsBenchResult> {
  const { progress, signal, rounds, only } = options;
  const mixes = options.mixes ?? ["hot", "zipf"];
  const names = CONTENDERS.filter(({ name }) => only === undefined || only.includes(name));
  // The other peers work with the packages that are here anyway.
  if (names.some(({ name }) => name === "medusa"))
    await progress.step("Look for the peers' packages", "a minute where they are missing", ensurePeers);
  const stage = await openStage(names, options.profileDir);
  try {
    await progress.step(
      "Let 64 callers want 100 units",
      "no figures for who promises more or less",
      async () => {
        for (const { child } of stage.players) await child.ask("probe");
      },
    );
    const turns: Turn[] = [];
    for (const mix of mixes)
      for (let round = 0; round < rounds; round++)
        for (const player of stage.players) {
          if (signal.aborted) throw new Error("Stopped.");
          const title = `Round ${round + 1} of ${rounds}, ${mix}: ${player.name}`;
          turns.push(await progress.step(title, TURN, () => takeTurn(player, mix, round, options, progress)));
        }
    const about = Object.fromEntries(stage.players.map((player) => [player.name, player.about]));
    return { about, turns, rows: toRows(turns, names) };
  } finally {
    await stage.close();
  }
}

async function takeTurn(
  { name, child }: Player,
  mix: MixName,
  round: number,
  { seconds, callers, skus }: HoldsBenchOptions,
  progress: Progress,
): Promise<Turn> {
  const durationMs = seconds * 1000;
  const warmUpMs = Math.min(1_000, durationMs / 2);
  const peak = await child.ask<Throughput & Cost>("peak", mixOf(mix, skus), round, {
    callers,
    durationMs,
    warmUpMs,
  });
  const steady = (share: number) =>
    child.ask<Latencies>("steady", mixOf(mix, skus), round, {
      perSecond: peak.perSecond * share,
      durationMs,
    });
  const at50 = await steady(0.5);
  const at80 = await steady(0.8);
  const cost = `${peak.clientCpuMicros.toFixed(1)} + ${peak.storeCpuMicros.toFixed(1)} us`;
  progress.note(
    `${Math.round(peak.perSecond)}/s, CPU ${cost} a call; at 80 % P99 ${at80.p99Ms.toFixed(1)} ms`,
  );
  return { contender: name, mix, peak, at50, at80 };
}
