import { isDeleting, type KubeObject } from "../objects.ts";
import type { KubeTime } from "../ports.ts";
import { admitBuiltIn } from "./admission.ts";
import { createFakeStorage, type FakeAnswer, type FakeSnapshot, type FakeStorage } from "./fakestorage.ts";
import { bindClaims, stepWorkloads } from "./workloads.ts";

export interface MemoryClusterOptions {
  readonly time: KubeTime;
  readonly from?: FakeSnapshot;
  /** Status of a pod that a node has started; its phase says whether it serves or has ended. */
  readonly statusOf: (pod: KubeObject) => Record<string, unknown>;
  /** Rules of the cluster's own kinds; a refusal or undefined. */
  readonly validate?: (object: KubeObject, before: KubeObject | undefined) => FakeAnswer | undefined;
}

/** How long controllers take to see a change, and a node to start or stop a pod. */
const CONTROLLER_MS = 20;
const NODE_MS = 1_000;

/**
 * A cluster in this process: storage with the rules of the API server, the controllers that make pods out of workloads
 * and clear up behind deletions, and nodes on which every pod does what it is told. All in the time it is given.
 */
export function createMemoryCluster(options: MemoryClusterOptions): FakeStorage {
  const { time } = options;
  let uids = 0;
  const prefix = String(options.from?.version ?? 0);
  const storage = createFakeStorage({
    nowMs: time.nowMs,
    uid: () => `uid-${prefix}-${++uids}`,
    ...(options.from === undefined ? {} : { from: options.from }),
    admit: (within, _collection, object, before) =>
      options.validate?.(object, before) ?? admitBuiltIn(within, object, before),
    lingers: (collection) => collection === "namespaces" || collection === "pods",
  });
  let waits = false;
  const awaited = new Set<string>();
  const step = () => {
    waits = false;
    stepWorkloads({ storage, nowMs: time.nowMs });
    bindClaims(storage);
    collectGarbage(storage);
    emptyNamespaces(storage);
    for (const pod of storage.list("pods")) tendPod(pod);
  };
  const stir = () => {
    if (waits) return;
    waits = true;
    time.setTimer(CONTROLLER_MS, step);
  };

  function tendPod(pod: KubeObject): void {
    const { uid = "", name, namespace } = pod.metadata;
    const pending = (pod.status as { phase?: string } | undefined)?.phase === "Pending";
    const what = `${uid} ${isDeleting(pod) ? "stop" : "start"}`;
    if (awaited.has(what) || !(isDeleting(pod) || pending)) return;
    awaited.add(what);
    time.setTimer(NODE_MS, () => {
      const live = storage.get("pods", `${namespace}/${name}`);
      if (live?.metadata.uid !== uid) return;
      if (isDeleting(pod)) storage.erase("pods", `${namespace}/${name}`);
      else if (!isDeleting(live)) storage.report("pods", `${namespace}/${name}`, options.statusOf(live));
    });
  }

  storage.onChange(stir);
  stir();
  return storage;
}

const keyOf = ({ metadata }: KubeObject) => `${metadata.namespace ?? ""}/${metadata.name}`;

/** Deletes what belongs to an owner that is no more. */
function collectGarbage(storage: FakeStorage): void {
  const all = storage
    .collections()
    .flatMap((collection) => storage.list(collection).map((object) => ({ collection, object })));
  const present = new Set(all.map(({ object }) => object.metadata.uid));
  for (const { collection, object } of all) {
    const owners = object.metadata.ownerReferences ?? [];
    if (owners.length > 0 && !owners.some(({ uid }) => present.has(uid)))
      storage.remove(collection, keyOf(object), object.metadata.uid);
  }
}

/** Deletes everything in a namespace that is leaving, and then the namespace. */
function emptyNamespaces(storage: FakeStorage): void {
  for (const namespace of storage.list("namespaces").filter(isDeleting)) {
    let left = 0;
    for (const collection of storage.collections())
      for (const object of storage.list(collection)) {
        if (object.metadata.namespace !== namespace.metadata.name) continue;
        left++;
        storage.remove(collection, keyOf(object), object.metadata.uid);
      }
    if (left === 0) storage.erase("namespaces", keyOf(namespace));
  }
}
