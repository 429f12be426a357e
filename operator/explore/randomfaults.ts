import { KINDS } from "../../platform/kube/kinds.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../api/names.ts";
import { CELL_KINDS } from "../stores.ts";
import { type Fault, isCrash } from "./faults.ts";

const SORTS = ["crash-before", "crash-after", "stale", "gap", "lapse"] as const;
const FOLLOWED = [FULFILLMENT_CENTER, ROUTING_TABLE, KINDS.namespace, KINDS.pod, ...CELL_KINDS];
const MAX_LIVES = 3;

/** Faults of up to three lives, drawn by lot; a later one begins with an old list as often as with a good one. */
export function randomFaults(lot: () => number, calls: number): Fault[] {
  const faults: Fault[] = [];
  const draw = (): Fault => {
    const kind = SORTS[Math.floor(lot() * SORTS.length)]!;
    const at = Math.floor(lot() * calls);
    if ((kind !== "stale" && kind !== "gap") || lot() < 0.5) return { kind, at };
    return { kind, at, of: FOLLOWED[Math.floor(lot() * FOLLOWED.length)]!.kind };
  };
  for (let fault = draw(); faults.push(fault) < MAX_LIVES && isCrash(fault); )
    fault = lot() < 0.25 ? { kind: "past" } : draw();
  return faults;
}
