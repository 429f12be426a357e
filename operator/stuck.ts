import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import type { Blocker } from "./api/fulfillment-center-status.ts";
import type { Observed } from "./observed.ts";

/** What keeps something from being gone although its deletion was asked for. */
export interface Stuck {
  readonly reason: string;
  /** A sentence that names the first of them and the next action. */
  readonly message: string;
  readonly blockers: readonly Blocker[];
}

/** A deletion that is younger is on its way; older than this it is looked at. */
export const STUCK_AFTER_MS = 5000;
const MAX_BLOCKERS = 16;

/** Conditions of a namespace that say why its deletion does not end; the first one says most. */
const TELLING = [
  "NamespaceFinalizersRemaining",
  "NamespaceContentRemaining",
  "NamespaceDeletionContentFailure",
  "NamespaceDeletionDiscoveryFailure",
  "NamespaceDeletionGroupVersionParsingFailure",
];

interface WithConditions {
  readonly conditions?: readonly { type: string; status: string; message?: string }[];
}

/** Of a namespace's status only what tells why it is not gone yet; undefined while nothing does. */
export function tellingStatus(namespace: KubeObject): WithConditions | undefined {
  if (!isDeleting(namespace)) return undefined;
  const conditions = ((namespace.status ?? {}) as WithConditions).conditions ?? [];
  const telling = conditions.filter(({ type, status }) => status === "True" && TELLING.includes(type));
  return telling.length === 0 ? undefined : { conditions: telling };
}

/** What a deletion in a cell waits for, when it has waited too long: of our objects by name, of others by what the namespace says. */
export function stuckObjects(
  observed: Pick<Observed, "namespace" | "objects" | "pods" | "claims">,
  nowMs: number,
): Stuck | undefined {
  const own = [...observed.objects, ...observed.claims, ...observed.pods]
    .filter((object) => isOverdue(object, nowMs))
    .flatMap(heldBack);
  const { namespace } = observed;
  const told = namespace === undefined || !isOverdue(namespace, nowMs) ? [] : toldBy(namespace);
  const blockers = [...own, ...told.map(({ blocker }) => blocker)].slice(0, MAX_BLOCKERS);
  const [first] = blockers;
  if (first === undefined) return undefined;
  const finalizers = own.length > 0 || told.some(({ type }) => type === "NamespaceFinalizersRemaining");
  return {
    reason: finalizers ? "FinalizersRemaining" : "ContentRemaining",
    message: `Waiting for ${first.kind} ${first.name}: ${ended(first.reason)} Whoever set it has to let go, or you do; it goes on by itself then.`,
    blockers,
  };
}

/** Finalizers of others on a center whose cell is gone: the only thing that keeps it. */
export function foreignFinalizers(fc: KubeObject, ours: string): Stuck | undefined {
  const others = (fc.metadata.finalizers ?? []).filter((finalizer) => finalizer !== ours).sort();
  if (others.length === 0) return undefined;
  const reason = `finalizer ${others.join(", ")} is not the operator's`;
  return {
    reason: "FinalizersRemaining",
    message: `Nothing is left of the cell; ${reason}: whoever set it has to remove it, or you do with kubectl edit fc ${fc.metadata.name}.`,
    blockers: [{ kind: fc.kind, name: fc.metadata.name, reason: reason.slice(0, 256) }],
  };
}

/** The deletion time of a pod lies at the end of its grace, so that one that ends as it should is never overdue. */
function isOverdue({ metadata }: KubeObject, nowMs: number): boolean {
  const { deletionTimestamp } = metadata;
  return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) + STUCK_AFTER_MS <= nowMs;
}

function heldBack(object: KubeObject): Blocker[] {
  const { name, finalizers = [] } = object.metadata;
  if (finalizers.includes("kubernetes.io/pvc-protection"))
    return [{ kind: object.kind, name, reason: "the volume is in use by a pod that is not gone" }];
  if (finalizers.length > 0)
    return [{ kind: object.kind, name, reason: `finalizer ${finalizers.join(", ")} keeps it`.slice(0, 256) }];
  if (object.kind !== "Pod") return [];
  return [{ kind: "Pod", name, reason: "it is past its grace period; is its node still there?" }];
}

function toldBy(namespace: KubeObject): { type: string; blocker: Blocker }[] {
  const conditions = tellingStatus(namespace)?.conditions ?? [];
  return TELLING.flatMap((type) => conditions.filter((condition) => condition.type === type)).map(
    ({ type, message = "" }) => ({
      type,
      blocker: {
        kind: "Namespace",
        name: namespace.metadata.name,
        reason: `${type}: ${message}`.slice(0, 256),
      },
    }),
  );
}

function ended(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
