import type { KubeObject } from "../platform/kube/objects.ts";
import { blockedPods } from "./blockers.ts";
import { cellImage } from "./build/cell.ts";
import { done, type StepState, stalled, trimmed, waiting } from "./errors.ts";
import type { Facts } from "./facts.ts";
import { find, type Observed, podsOf } from "./observed.ts";
import { shortOf } from "./shortage.ts";
import { podFailure, rolloutFailure, rolloutOf } from "./workloads.ts";

interface Behind {
  readonly name: string;
  readonly live: KubeObject | undefined;
}

/**
 * Whether every Deployment runs what is wanted of it; else which one is on its way, which wait for their turn, and what
 * a person has to do when a release got stuck.
 */
export function servicesReady(facts: Facts, observed: Observed, running: string | undefined): StepState {
  const { deployments, cell, rollout } = facts;
  if (facts.provisionedHash === undefined)
    return waiting("WaitingForSchema", "Services of this release start when the schema is migrated.");
  const incomplete = deployments
    .map((desired): Behind & { complete: boolean } => {
      const live = find(observed, "Deployment", desired.metadata.name);
      return { name: desired.metadata.name, live, complete: rolloutOf(live, desired).complete };
    })
    .filter(({ complete }) => !complete);
  if (incomplete.length === 0) return done("Ready", "Every Deployment runs the desired release.");
  const behind = incomplete.filter(({ name }) => !rollout.waiting.includes(name));
  const short = behind.map(({ live }) => shortOf(live, observed)).find((state) => state !== undefined);
  if (short !== undefined) return short;
  // Pods that fail long after their rollout are no matter of the release.
  const rolling = rollout.waiting.length > 0 || (running !== undefined && running !== cellImage(cell));
  const failed = failureOf(behind, rolling, observed);
  if (failed !== undefined) return stalled("RolloutFailed", failureMessage(failed, facts, running));
  const held = incomplete.filter(({ name }) => facts.held.includes(`Deployment/${name}`));
  if (held.length > 0)
    return waiting(
      "Held",
      `Held by an annotation: ${held.map(({ name }) => name).join(", ")}; it goes on when the hold expires.`,
    );
  const [blocker] = blockedPods(behind.flatMap(({ name }) => podsOf(observed, name)));
  if (blocker !== undefined)
    return waiting(
      "PodBlocked",
      `Pod ${blocker.name} cannot start: ${blocker.reason}; see kubectl -n ${cell.namespace} describe pod ${blocker.name}.`,
    );
  return waiting("RollingOut", progressMessage(behind, facts));
}

function failureOf(behind: readonly Behind[], rolling: boolean, observed: Observed) {
  for (const { name, live } of behind) {
    const why = rolloutFailure(live) ?? (rolling ? podFailure(podsOf(observed, name)) : undefined);
    if (why !== undefined) return { name, why };
  }
  return undefined;
}

function failureMessage(
  { name, why }: { name: string; why: string },
  { cell, rollout }: Facts,
  running: string | undefined,
): string {
  const image = cellImage(cell);
  const others =
    rollout.waiting.length === 0
      ? ""
      : ` The rollout stops there: ${rollout.waiting.join(", ")} keep what they run.`;
  const action =
    running === undefined || running === image
      ? "then set release.image."
      : `then set release.image back to ${running}, or to a release that works.`;
  return `Deployment ${name} does not become ready with ${image}: ${trimmed(why)}${others} See kubectl -n ${cell.namespace} logs deploy/${name}, ${action}`;
}

function progressMessage(behind: readonly Behind[], { rollout }: Facts): string {
  const { reached, waiting: later } = rollout;
  if (later.length === 0)
    return `Waiting for ${behind.map(({ name }) => name).join(", ")}; no action needed.`;
  const share = `${reached.length} of ${reached.length + later.length}`;
  if (behind.length > 0)
    return `Rolling out ${behind.map(({ name }) => name).join(", ")} (${share}); ${later.join(", ")} follow. No action needed.`;
  return rollout.blockedBy === undefined
    ? `Rolling out (${share}): ${later[0]} is next. No action needed.`
    : `The rollout waits at ${share}, because ${rollout.blockedBy}; it goes on with ${later[0]} when that has passed.`;
}
