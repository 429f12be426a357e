import { type Fault, isCrash } from "./faults.ts";

const KINDS = ["crash-before", "crash-after", "stale", "gap"] as const;
const MAX_LIVES = 3;

/** Faults of up to three lives, drawn by lot; a later one begins with an old list as often as with a good one. */
export function randomFaults(lot: () => number, calls: number): Fault[] {
  const faults: Fault[] = [];
  const draw = (): Fault => ({
    kind: KINDS[Math.floor(lot() * KINDS.length)]!,
    at: Math.floor(lot() * calls),
  });
  for (let fault = draw(); faults.push(fault) < MAX_LIVES && isCrash(fault); )
    fault = lot() < 0.25 ? { kind: "past" } : draw();
  return faults;
}
