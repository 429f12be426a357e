import { isDeleting } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { ANNOTATIONS, LABELS } from "./api/names.ts";
import type { Generations } from "./build/cell.ts";
import type { Observed } from "./observed.ts";
import type { Notice } from "./plan.ts";
import type { JobOutcome } from "./workloads.ts";

export type Credentials = NonNullable<FulfillmentCenterStatus["credentials"]>;

/** Decoded data by Secret and entry, as secretData gives it. */
type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

const NONE_YET: Credentials = { generation: 0, serving: 0, settled: 0 };

/**
 * Which credentials a pass builds with. A center that takes over an earlier one's data goes on with what it finds in the
 * Secrets; one whose namespace was lost has nothing old that could still let anybody in.
 */
export function credentialsOf(fc: FulfillmentCenter, secrets: Secrets, startOver: boolean): Credentials {
  const known = fc.status?.credentials;
  if (known !== undefined && startOver)
    return { ...known, serving: known.generation, settled: known.generation };
  if (known !== undefined) return known;
  const found = generationsIn(secrets);
  if (found !== undefined) return found;
  const asked = fc.metadata.annotations?.[ANNOTATIONS.rotateCredentials];
  // Nothing is newer than what is about to be made.
  return asked === undefined ? NONE_YET : { ...NONE_YET, request: asked };
}

/** Generations of the database passwords that exist; undefined when there is no Secret of them. */
function generationsIn(secrets: Secrets): Credentials | undefined {
  const numbers = Object.keys(secrets.database ?? {}).flatMap((key) => {
    const match = /^orders(?:-(\d{1,6}))?$/.exec(key);
    return match === null ? [] : [Number(match[1] ?? 0)];
  });
  if (numbers.length === 0) return undefined;
  const oldest = Math.min(...numbers);
  return { generation: Math.max(...numbers), serving: oldest, settled: oldest };
}

/** What a pass has seen of a change of credentials. */
export interface RotationFacts {
  /** Schema and topics are as wanted, with the credentials of this generation. */
  readonly provisioned: boolean;
  /** Every Deployment runs what is wanted, and nothing else runs. */
  readonly rolledOut: boolean;
  /** The Job that takes the former credentials out of force. */
  readonly retire: JobOutcome;
}

/**
 * The step after this one. One generation after the other: a new one is begun when nothing of the one before is left. A number is in
 * the status before anything is built with it, so that it is never given twice.
 */
export function nextCredentials(fc: FulfillmentCenter, now: Credentials, facts: RotationFacts): Credentials {
  const { generation, settled } = now;
  if (generation > settled) {
    if (facts.retire.kind === "succeeded" && now.serving === generation)
      return { ...now, settled: generation };
    return facts.provisioned && facts.rolledOut ? { ...now, serving: generation } : now;
  }
  const asked = fc.metadata.annotations?.[ANNOTATIONS.rotateCredentials]?.slice(0, 256);
  const settledIn = facts.provisioned && facts.rolledOut;
  if (asked === undefined || asked === "" || asked === now.request || !settledIn) return now;
  return { generation: generation + 1, serving: generation, settled, request: asked };
}

/** True when the former credentials are used by nobody any more, not even by a pod on its way out. */
export function mayRetire(
  now: Generations,
  facts: Omit<RotationFacts, "retire">,
  observed: Observed,
): boolean {
  const slicePods = observed.pods.filter(({ metadata }) =>
    Object.keys(metadata.labels ?? {}).some((key) => key.startsWith(LABELS.slice(""))),
  );
  return (
    now.generation > now.settled &&
    now.serving === now.generation &&
    facts.provisioned &&
    facts.rolledOut &&
    !slicePods.some(isDeleting)
  );
}

/** The status field: absent while a cell has the credentials that it began with. */
export function credentialsField(now: Credentials): { credentials?: Credentials } {
  return now.generation === 0 && now.request === undefined ? {} : { credentials: now };
}

/** One condition's status, reason and message. */
export function rotatingOf(
  now: Credentials,
  facts: RotationFacts,
): readonly [status: "True" | "False", reason: string, message: string] {
  const { generation, serving, settled } = now;
  if (generation === settled)
    return ["False", "NotRotating", `Credentials of generation ${generation} are in force, and no others.`];
  if (serving < generation)
    return facts.provisioned
      ? ["True", "RollingOut", "Services go over to new credentials one by one; no action needed."]
      : ["True", "Admitting", "A Job makes new credentials known to the stores; no action needed."];
  const failure = facts.retire.kind === "failed" ? facts.retire.result : undefined;
  return failure?.ok === false
    ? [
        "True",
        failure.reason,
        `The former credentials could not be taken out of force: ${failure.message.slice(0, 400)}; it is tried again.`,
      ]
    : ["True", "Retiring", "A Job takes the former credentials out of force; no action needed."];
}

/** Events at the beginning and the end of a change. */
export function rotationNotices(before: Credentials, after: Credentials): Notice[] {
  const told = (reason: string, note: string): Notice => ({
    key: `${reason} ${after.generation}`,
    type: "Normal",
    reason,
    action: "Rotate",
    note,
  });
  if (after.generation > before.generation)
    return [
      told("RotationStarted", `Changing passwords and keys; they are generation ${after.generation} now.`),
    ];
  if (after.settled > before.settled)
    return [told("Rotated", `Passwords and keys from before generation ${after.generation} are worthless.`)];
  return [];
}
