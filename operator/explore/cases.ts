import type { Fault } from "./faults.ts";
import type { Call } from "./faultyclient.ts";

/** One run, which stands for every fault that would lead to the same run. */
export interface Case {
  readonly faults: readonly Fault[];
  /** How many faults it stands for, itself included. */
  readonly standsFor: number;
}

/**
 * Every fault of every sort at every call. Faults that meet the same cluster at the same time, with an operator that has been
 * shown the same, lead to the same run, since everything else is determined; of those the first is run.
 */
export function everyCase(calls: readonly Call[]): Case[] {
  const cases = new Map<string, { faults: readonly Fault[]; standsFor: number }>();
  const add = (key: string, ...faults: Fault[]) => {
    const known = cases.get(key);
    if (known === undefined) cases.set(key, { faults, standsFor: 1 });
    else known.standsFor++;
  };
  for (const [at, { moment, after }] of calls.entries()) {
    for (const [kind, when] of [["crash-before", moment] as const, ["crash-after", after] as const]) {
      // What a dead process had been shown changes nothing any more.
      const [ms, version] = when.split(" ");
      add(`crash ${ms} ${version}`, { kind, at });
      add(`past ${ms} ${version}`, { kind, at }, { kind: "past" });
    }
    add(`stale ${moment}`, { kind: "stale", at });
    add(`gap ${moment}`, { kind: "gap", at });
    add(`lapse ${moment}`, { kind: "lapse", at });
  }
  return [...cases.values()];
}
