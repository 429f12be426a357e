import { isDeleting, type KubeObject } from "../../platform/kube/objects.ts";
import type { FakeChange, FakeStorage } from "../../platform/kube/testing/fakestorage.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import type { RoutingTable } from "../api/routing-table.ts";
import type { Shards } from "./shard.ts";

/** What must hold at every moment, whatever happens to the operator. */
export interface Invariants {
  /** Sentences about what did not hold, in the order in which it happened. */
  readonly violations: readonly string[];
}

const MAX_VIOLATIONS = 20;
/** Hold what cannot be made again: they go with their namespace only. */
const KEPT = new Set(["Namespace", "Secret", "PersistentVolumeClaim", "StatefulSet"]);

/** Watches every change from now on. `ends` says what the flow leaves of the cell. */
export function watchInvariants(
  storage: FakeStorage,
  shards: Shards,
  flow: { readonly ends: "stays" | "retained" | "gone" },
): Invariants {
  const violations: string[] = [];
  const jobs = new Map<string, string>();
  const epochs = new Map<string, number>();
  const lives = new Map<string, { uid: string | undefined; epoch: number; before: number }>();
  for (const fc of storage.list("fulfillmentcenters.cells.fulfillment.io"))
    namesakeFault(fc as FulfillmentCenter, lives);
  const object = (sentence: string | undefined) => {
    if (sentence !== undefined && violations.length < MAX_VIOLATIONS && !violations.includes(sentence))
      violations.push(sentence);
  };
  for (const job of storage.list("jobs.batch")) jobs.set(jobKey(storage, job), JSON.stringify(job.spec));
  for (const table of storage.list("routingtables.cells.fulfillment.io"))
    for (const [name, epoch] of epochsOf(table as RoutingTable)) epochs.set(name, epoch);

  storage.onChange((change) => {
    const { type, object: after, previous } = change;
    if (after.kind === "FulfillmentCenter") {
      object(centerFault(change));
      object(namesakeFault(after as FulfillmentCenter, lives));
    }
    if (after.kind === "RoutingTable") for (const fault of tableFaults(change, epochs)) object(fault);
    if (after.kind === "Secret") object(secretFault(change));
    if (after.kind === "Pod" && type === "ADDED") object(shards.objectionTo(after));
    if (after.kind === "Job" && type === "ADDED") {
      const key = jobKey(storage, after);
      const spec = JSON.stringify(after.spec);
      if (jobs.has(key) && jobs.get(key) !== spec)
        object(`two Jobs of one name ask for different things: ${key}`);
      jobs.set(key, spec);
    }
    const begins = isDeleting(after) && (previous === undefined || !isDeleting(previous));
    if (!begins && type !== "DELETED") return;
    const mayGo =
      after.kind === "StatefulSet" ? flow.ends !== "stays" : flow.ends === "gone" && leaves(storage, after);
    if (KEPT.has(after.kind) && !mayGo) object(`${after.kind} ${after.metadata.name} is deleted`);
  });
  return { violations };
}

/** Whether the namespace of an object, or the object itself when it is one, is on its way out. */
function leaves(storage: FakeStorage, { kind, metadata }: KubeObject): boolean {
  if (kind === "Namespace") return true;
  const namespace = storage.get("namespaces", `/${metadata.namespace}`);
  return namespace === undefined || isDeleting(namespace);
}

function jobKey(storage: FakeStorage, { metadata }: KubeObject): string {
  const home = storage.get("namespaces", `/${metadata.namespace}`);
  return `${metadata.namespace} ${home?.metadata.uid} ${metadata.name}`;
}

/** A number that was issued is never taken back and never issued for something else. */
function centerFault({ object, previous }: FakeChange): string | undefined {
  const [before, after] = [previous, object].map((fc) => (fc as FulfillmentCenter | undefined)?.status ?? {});
  const { epoch = 0, fencedEpoch } = after ?? {};
  if (before?.epoch !== undefined && epoch < before.epoch)
    return `the epoch went back from ${before.epoch} to ${epoch}`;
  if (before?.fencedEpoch !== undefined && fencedEpoch !== undefined && fencedEpoch !== before.fencedEpoch)
    return `a fenced center was fenced again with ${fencedEpoch} after ${before.fencedEpoch}`;
  if (before?.fencedEpoch !== undefined && fencedEpoch === undefined && epoch <= before.fencedEpoch)
    return `epoch ${epoch} is not above ${before.fencedEpoch}, which shut the cell out`;
  return undefined;
}

/** A center that is made again begins above every number of the one before it. */
function namesakeFault(
  { metadata, status }: FulfillmentCenter,
  lives: Map<string, { uid: string | undefined; epoch: number; before: number }>,
): string | undefined {
  const known = lives.get(metadata.name);
  const epoch = Math.max(status?.epoch ?? 0, status?.fencedEpoch ?? 0);
  const before = known === undefined || known.uid === metadata.uid ? (known?.before ?? 0) : known.epoch;
  lives.set(metadata.name, { uid: metadata.uid, epoch, before });
  return status?.epoch !== undefined && status.epoch <= before
    ? `a center made again got epoch ${status.epoch} after ${before}`
    : undefined;
}

function tableFaults({ object, previous }: FakeChange, highest: Map<string, number>): string[] {
  const [before, after] = [previous, object] as [RoutingTable | undefined, RoutingTable];
  const faults: string[] = [];
  const changed = before !== undefined && JSON.stringify(before.spec) !== JSON.stringify(after.spec);
  if (changed && after.spec.version <= before.spec.version)
    faults.push(`version ${before.spec.version} of the routing table was followed by ${after.spec.version}`);
  const now = epochsOf(after);
  for (const [name, epoch] of highest)
    if ((now.get(name) ?? 0) < epoch)
      faults.push(`the routing table knows epoch ${now.get(name)} of ${name} after ${epoch}`);
  for (const [name, epoch] of now) highest.set(name, Math.max(epoch, highest.get(name) ?? 0));
  return faults;
}

function epochsOf({ spec }: RoutingTable): Map<string, number> {
  return new Map([...spec.tombstones, ...spec.cells].map(({ name, epoch }) => [name, epoch]));
}

/** A word that a database or another process knows by now must stay what it is. The list of public keys may grow. */
function secretFault({ object, previous }: FakeChange): string | undefined {
  const [before, after] = [previous, object].map((secret) => (secret?.data ?? {}) as Record<string, string>);
  for (const [name, value] of Object.entries(before ?? {}))
    if (name !== "jwks.json" && after?.[name] !== value)
      return `${name} of Secret ${object.metadata.name} was written anew`;
  return undefined;
}
