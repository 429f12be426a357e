import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** How good the machine was while something was measured; contenders that take turns do not all meet the same one. */
export interface MachineState {
  /** CPU milliseconds that a fixed piece of work took, in the median. */
  readonly probeMs: number;
  /** Seconds that the host took from this machine's processors, of all of them (steal, proc(5)). */
  readonly stolenSeconds: number;
}

export const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

const PROBE_EVERY_MS = 5_000;
const PROBE_STEPS = 200_000;
const STEAL_FIELD = 8;

/** Looks at the machine from now on; it costs some milliseconds of CPU each time. */
export function watchMachine(): { stop(): MachineState } {
  const stolenBefore = stolen();
  const probes = [probe()];
  const timer = setInterval(() => probes.push(probe()), PROBE_EVERY_MS).unref();
  return {
    stop() {
      clearInterval(timer);
      const sorted = probes.sort((left, right) => left - right);
      return {
        probeMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
        stolenSeconds: stolen() - stolenBefore,
      };
    },
  };
}

function probe(): number {
  const before = process.cpuUsage();
  let state = 1;
  // Park and Miller's generator: nothing that a compiler could leave out or a memory could slow down.
  for (let step = 0; step < PROBE_STEPS; step++) state = (state * 48_271) % 2_147_483_647;
  const { user, system } = process.cpuUsage(before);
  return state > 0 ? (user + system) / 1000 : 0;
}

function stolen(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  return Number(line.split(/\s+/)[STEAL_FIELD] ?? 0) / TICKS_PER_SECOND;
}
