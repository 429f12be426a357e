import type { KubeObject } from "../../platform/kube/objects.ts";
import type { OperatorSettings } from "../api/settings.ts";
import { desired } from "../desired.ts";
import { identity } from "../observed.ts";
import type { Plan } from "../plan.ts";
import { fingerprint, type PreviewCluster, react, takeOver } from "./cluster.ts";

export interface PreviewGivens {
  readonly settings: OperatorSettings;
  readonly nowMs: number;
  /** A secret word; it is never shown. */
  readonly random: () => string;
}

/** What one pass newly wrote, in the order of the plan. */
export interface PreviewPass {
  readonly written: readonly KubeObject[];
  readonly removed: readonly KubeObject[];
}

export interface Simulation {
  readonly cluster: PreviewCluster;
  /** Passes that wrote something. */
  readonly passes: readonly PreviewPass[];
  /** The plan of the last pass; undefined when the center was gone from the beginning. */
  readonly plan: Plan | undefined;
  /** False when the passes did not come to rest within their bound. */
  readonly settled: boolean;
}

const MAX_PASSES = 80;
/** Marks that hold a workload expire within this time; what comes later is no part of a preview. */
const MAX_WAIT_MS = 16 * 60_000;

/**
 * Passes of the operator's own decision, each on what the one before led to, until nothing changes any more: the
 * whole outcome, not only the first step. Everything that can succeed does.
 */
export function simulate(start: PreviewCluster, givens: PreviewGivens): Simulation {
  const { settings, random } = givens;
  const passes: PreviewPass[] = [];
  let cluster = start;
  let nowMs = givens.nowMs;
  let plan: Plan | undefined;
  let before = fingerprint(cluster);
  for (let count = 0; count < MAX_PASSES; count++) {
    if (cluster.fc === undefined) return { cluster, passes, plan, settled: true };
    plan = desired(cluster.fc, cluster.observed, settings, nowMs, random);
    const pass = passOf(cluster, plan);
    if (pass.written.length + pass.removed.length > 0) passes.push(pass);
    cluster = react(takeOver(cluster, plan), nowMs);
    const after = fingerprint(cluster);
    if (after === before) {
      const waitMs = plan.requeueAfterMs;
      if (waitMs === undefined || nowMs + waitMs > givens.nowMs + MAX_WAIT_MS)
        return { cluster, passes, plan, settled: true };
      nowMs += waitMs;
    }
    before = after;
  }
  return { cluster, passes, plan, settled: false };
}

function passOf({ wished }: PreviewCluster, plan: Plan): PreviewPass {
  const isNew = (object: KubeObject) =>
    JSON.stringify(wished.get(identity(object))) !== JSON.stringify(object);
  return { written: plan.objects.filter(isNew), removed: plan.prune };
}
