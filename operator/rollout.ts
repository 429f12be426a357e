import type { KubeObject } from "../platform/kube/objects.ts";
import type { SLICE_NAMES } from "../platform/slices.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { find, type Observed } from "./observed.ts";
import { rolloutOf } from "./workloads.ts";

/** Slices in the order in which a release reaches them: who answers a call comes before who makes it. */
export const ROLLOUT_ORDER = [
  "inventory",
  "payments",
  "couriers",
  "orders",
  "fulfillment",
  "tracking",
  "dispatch",
] as const satisfies readonly (typeof SLICE_NAMES)[number][];

export interface RolloutInput {
  /** What every Deployment should be. */
  readonly wanted: readonly KubeObject[];
  /** The same Deployments with the image that the whole cell ran last; empty when it never ran one. */
  readonly earlier: readonly KubeObject[];
  /** Schema and topics are as the wanted Deployments need them. */
  readonly provisioned: boolean;
  /** The cell has served in this epoch. One that has not gains nothing from going slowly. */
  readonly serving: boolean;
  /** Why no further Deployment may be touched now, whatever the Deployments themselves say. */
  readonly blockedBy: string | undefined;
}

export interface RolloutPlan {
  /** What to apply in this pass. */
  readonly apply: readonly KubeObject[];
  /** Names of those that got what is wanted of them, or get it in this pass, in order. */
  readonly reached: readonly string[];
  /** Names of those that keep what they run until it is their turn, in order. */
  readonly waiting: readonly string[];
  /** Why the next of them does not get its turn although every one before it is complete. */
  readonly blockedBy?: string;
}

/**
 * Which Deployments of a cell may become what is wanted of them now. In a serving cell they change one after the
 * other, and the next one only when all that changed are complete; so a release that fails stays in one slice. Those
 * that wait are still kept as they were.
 */
export function planRollout(input: RolloutInput, observed: Pick<Observed, "objects">): RolloutPlan {
  const wanted = inOrder(input.wanted);
  if (!input.serving)
    return input.provisioned
      ? { apply: wanted, reached: wanted.map(nameOf), waiting: [] }
      : { apply: [], reached: [], waiting: wanted.map(nameOf) };
  const steps = wanted.map((desired) => {
    const live = find(observed, "Deployment", nameOf(desired));
    return { desired, live, current: live !== undefined && revisionOf(live) === revisionOf(desired) };
  });
  const next = input.provisioned ? nextOf(steps, input.blockedBy) : { may: [] };
  const reached = steps.filter(({ desired, current }) => current || next.may.includes(desired));
  const waiting = steps.filter((step) => !reached.includes(step));
  return {
    apply: steps.flatMap((step) => (reached.includes(step) ? [step.desired] : kept(step, input.earlier))),
    reached: reached.map(({ desired }) => nameOf(desired)),
    waiting: waiting.map(({ desired }) => nameOf(desired)),
    ...(next.blockedBy === undefined || waiting.length === 0 ? {} : { blockedBy: next.blockedBy }),
  };
}

interface Step {
  readonly desired: KubeObject;
  readonly live: KubeObject | undefined;
  readonly current: boolean;
}

function nextOf(
  steps: readonly Step[],
  blockedBy: string | undefined,
): { may: readonly KubeObject[]; blockedBy?: string } {
  const behind = steps.filter(({ live, current }) => live !== undefined && !current);
  const absent = steps.filter(({ live }) => live === undefined);
  // Nothing runs what is not wanted: what is missing takes nobody's place.
  if (behind.length === 0) return { may: absent.map(({ desired }) => desired) };
  const unfinished = steps.some(
    ({ desired, live, current }) => current && !rolloutOf(live, desired).complete,
  );
  if (unfinished) return { may: [] };
  // One that lacks pods has little to lose, and what it lacks may be what this release brings.
  const broken = behind.find(({ live }) => rolloutOf(live).available < rolloutOf(live).replicas);
  if (broken !== undefined) return { may: [broken.desired] };
  const reason = blockedBy ?? (absent.length > 0 ? `${nameOf(absent[0]!.desired)} is missing` : undefined);
  return reason === undefined ? { may: [behind[0]!.desired] } : { may: [], blockedBy: reason };
}

/** One that waits is put back to what it ran, when that can be told; else it is left alone. */
function kept({ desired, live }: Step, earlier: readonly KubeObject[]): KubeObject[] {
  const before = earlier.find((object) => nameOf(object) === nameOf(desired));
  if (before === undefined) return [];
  return live === undefined || revisionOf(live) === revisionOf(before) ? [before] : [];
}

function inOrder(deployments: readonly KubeObject[]): KubeObject[] {
  const rank = (object: KubeObject) => (ROLLOUT_ORDER as readonly string[]).indexOf(nameOf(object));
  return [...deployments].sort((a, b) => rank(a) - rank(b));
}

function nameOf(object: KubeObject): string {
  return object.metadata.name;
}

function revisionOf(object: KubeObject): string | undefined {
  return object.metadata.annotations?.[ANNOTATIONS.revision];
}
