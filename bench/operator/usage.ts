import { readFileSync } from "node:fs";
import { TICKS_PER_SECOND } from "./machine.ts";

/** What a process has used so far, from the kernel's own counts (proc(5)). */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMb: number;
  /** Highest resident size since the start. */
  readonly peakMb: number;
}

/** Usage of a running process. Throws when it is gone: a bench whose process died has no figures. */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rssMb: kb("VmRSS") / 1024,
    peakMb: kb("VmHWM") / 1024,
  };
}

/** CPU seconds of each process by name since `before`. */
export function cpuSince(
  before: ReadonlyMap<string, number>,
  processes: readonly { readonly name: string; readonly pid: number }[],
): Record<string, number> {
  return Object.fromEntries(
    processes.map(({ name, pid }) => [
      name,
      Math.round((usageOf(pid).cpuSeconds - (before.get(name) ?? 0)) * 100) / 100,
    ]),
  );
}
