import { type FulfillmentCenter, specSchema } from "../../operator/api/fulfillment-center.ts";
import { FULFILLMENT_CENTER } from "../../operator/api/names.ts";
import type { KubeFailure } from "../../platform/kube/failures.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { CommandError, explain } from "./failure.ts";
import type { Session } from "./session.ts";

/** The center as the API server would store it. */
export interface Stored {
  readonly center: FulfillmentCenter;
  /** What could not be asked of the server, as a sentence. */
  readonly note?: string;
}

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
/** Longest part of an answer that is read; the server bounds it anyway. */
const MAX_REASONS = 20;

/**
 * What `kubectl apply` of `manifest` would store, by the server's own dry run: admission, defaults and the rules of the
 * CRD all speak. Without the right to write, the schema that the CRD is made from stands in.
 */
export async function storedAfterApply(
  session: Session,
  manifest: KubeObject,
  live: FulfillmentCenter | undefined,
): Promise<Stored> {
  const { client } = session;
  const patch = live === undefined ? manifest : applyPatch(manifest, live);
  const { name } = manifest.metadata;
  const answer =
    live === undefined
      ? await client.create(FULFILLMENT_CENTER, manifest, { dryRun: true })
      : appliedBy(live) === undefined
        ? await client.patch(FULFILLMENT_CENTER, { name }, patch, { dryRun: true })
        : await client.apply(FULFILLMENT_CENTER, manifest, { dryRun: true, fieldManager: appliedBy(live)! });
  if (answer.ok) return { center: answer.value as FulfillmentCenter };
  if (answer.code === "forbidden" && !isRefusalOfAdmission(answer))
    return storedLocally(manifest, live, patch);
  if (answer.code === "invalid" || answer.code === "forbidden" || answer.code === "conflict")
    throw new CommandError(`The API server refuses FulfillmentCenter ${name}:\n${reasonsOf(answer)}`);
  throw new CommandError(explain(answer, `check FulfillmentCenter ${name}`, session.server));
}

/** What a deletion would meet: admission may refuse it. Without the right to delete, nothing is asked. */
export async function checkDeletion(session: Session, live: FulfillmentCenter): Promise<string | undefined> {
  const { name } = live.metadata;
  const answer = await session.client.remove(FULFILLMENT_CENTER, { name }, { dryRun: true });
  if (answer.ok) return undefined;
  if (answer.code === "forbidden" && !isRefusalOfAdmission(answer))
    return "You may not delete it, so the API server was not asked whether it would allow that.";
  if (answer.code === "invalid" || answer.code === "forbidden")
    throw new CommandError(`The API server refuses the deletion of ${name}:\n${reasonsOf(answer)}`);
  throw new CommandError(explain(answer, `check the deletion of ${name}`, session.server));
}

/** Admission policies answer with the code of a missing right; their sentence tells them apart. */
function isRefusalOfAdmission({ message }: KubeFailure): boolean {
  return /ValidatingAdmissionPolicy|admission webhook/.test(message);
}

function reasonsOf({ message }: KubeFailure): string {
  const text = message.replace(/^.*? is invalid: /s, "");
  const inner = /^\[(.*)\]$/s.exec(text)?.[1];
  const reasons = inner === undefined ? [text] : inner.split(/, (?=(?:spec|metadata|<nil>)[.:[])/);
  return reasons
    .slice(0, MAX_REASONS)
    .map((reason) => `  ${reason.trim()}`)
    .join("\n");
}

/** The one field manager that applies the center server-side (GitOps tools do), when there is one and kubectl never applied it. */
export function appliedBy(live: KubeObject): string | undefined {
  if (live.metadata.annotations?.[LAST_APPLIED] !== undefined) return undefined;
  const fields = (live.metadata.managedFields ?? []) as { manager?: string; operation?: string }[];
  const appliers = fields
    .filter(({ operation }) => operation === "Apply")
    .map(({ manager }) => manager ?? "");
  const others = [...new Set(appliers)].filter(
    (manager) => !/^(fulfillment-cells|kubectl-cell)$/.test(manager),
  );
  return others.length === 1 ? others[0] : undefined;
}

/** The merge patch of a client-side apply: what the file says, and null for what an earlier apply said and this one does not. */
export function applyPatch(manifest: KubeObject, live: KubeObject): Record<string, unknown> {
  const last = parsedOr(live.metadata.annotations?.[LAST_APPLIED]);
  const { labels, annotations } = manifest.metadata;
  const lastMetadata = (last.metadata ?? {}) as Record<string, unknown>;
  return {
    spec: patchOf(last.spec, manifest.spec),
    metadata: {
      labels: patchOf(lastMetadata.labels, labels ?? {}),
      annotations: patchOf(lastMetadata.annotations, annotations ?? {}),
    },
  };
}

function patchOf(last: unknown, wanted: unknown): unknown {
  if (!isRecord(wanted)) return wanted;
  const dropped = isRecord(last) ? Object.keys(last).filter((key) => !(key in wanted)) : [];
  return Object.fromEntries([
    ...Object.entries(wanted).map(([key, value]) => [
      key,
      patchOf(isRecord(last) ? last[key] : undefined, value),
    ]),
    ...dropped.map((key) => [key, null]),
  ]);
}

/** RFC 7396: null takes a field away, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

function storedLocally(
  manifest: KubeObject,
  live: FulfillmentCenter | undefined,
  patch: Record<string, unknown>,
): Stored {
  const merged = (live === undefined ? manifest : mergePatch(live, patch)) as FulfillmentCenter;
  const spec = specSchema.safeParse(merged.spec ?? {});
  if (!spec.success) {
    const reasons = spec.error.issues
      .slice(0, MAX_REASONS)
      .map(({ path, message }) => `  ${["spec", ...path].join(".")}: ${message}`);
    throw new CommandError(
      `The schema refuses FulfillmentCenter ${manifest.metadata.name}:\n${reasons.join("\n")}`,
    );
  }
  return {
    center: { ...merged, spec: spec.data },
    note: "You may not write FulfillmentCenters, so the API server was not asked: types and bounds were checked here, rules between fields (what cannot be changed, what only grows) were not.",
  };
}

function parsedOr(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
