import type { KubeClient } from "../platform/kube/client.ts";
import type { HistoryReaders } from "../platform/kube/history.ts";
import { createInformer, type Informer } from "../platform/kube/informer.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import {
  dropManagedFields,
  type KubeObject,
  type ResourceRef,
  resourceName,
  stripHistory,
} from "../platform/kube/objects.ts";
import { createPacker } from "../platform/kube/packing.ts";
import type { KubeLog, KubeMetrics, KubeTime } from "../platform/kube/ports.ts";
import type { Store } from "../platform/kube/store.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { centerOfNamespace, FULFILLMENT_CENTER, LABELS, MANAGER, ROUTING_TABLE } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { keepOthers, keepsAny } from "./drift.ts";
import { tellingStatus } from "./stuck.ts";

/** Kinds inside a cell that are ours and followed by label; apart from pods and claims they may be pruned. */
export const CELL_KINDS: readonly ResourceRef[] = [
  KINDS.resourceQuota,
  KINDS.limitRange,
  KINDS.networkPolicy,
  KINDS.serviceAccount,
  KINDS.secret,
  KINDS.service,
  KINDS.statefulSet,
  KINDS.deployment,
  KINDS.job,
  KINDS.podDisruptionBudget,
];

const BY_CENTER = "center";
const BY_REGION = "region";

/** Local copies of everything that a pass reads: a pass itself asks the API server nothing. */
export interface Stores {
  readonly centers: Store<FulfillmentCenter>;
  readonly tables: Store<RoutingTable>;
  readonly namespaces: Store<KubeObject>;
  readonly pods: Store<KubeObject>;
  readonly claims: Store<KubeObject>;
  readonly autoscalers: Store<KubeObject>;
  readonly secrets: Store<KubeObject>;
  readonly services: Store<KubeObject>;
  readonly jobs: Store<KubeObject>;
  /** Stores of CELL_KINDS. */
  readonly owned: readonly Store<KubeObject>[];
  readonly informers: readonly Informer<KubeObject>[];
  of(ref: ResourceRef): Store<KubeObject> | undefined;
  /** Our objects of one center in a store that is indexed by it. */
  ofCenter(store: Store<KubeObject>, center: string): KubeObject[];
  centersOfRegion(region: string): FulfillmentCenter[];
}

/** How one kind is read: which of its objects, what of them is kept, and by what they are looked up. */
export interface Following<T extends KubeObject> {
  readonly labelSelector?: string;
  readonly index?: [string, (object: T) => string[]];
  readonly transform?: (object: T) => T;
  readonly readsHistory?: HistoryReaders;
}

/** Makes the local copy of one kind. */
export type Follow = <T extends KubeObject>(ref: ResourceRef, how: Following<T>) => Store<T>;

/** Copies that list once and then watch. */
export function createStores(options: {
  client: KubeClient;
  log: KubeLog;
  metrics: KubeMetrics;
  time?: KubeTime;
  random?: () => number;
}): Stores {
  const informers: Informer<KubeObject>[] = [];
  return storesOver(<T extends KubeObject>(ref: ResourceRef, { index, ...how }: Following<T>): Store<T> => {
    const indexers = index === undefined ? {} : { indexers: { [index[0]]: index[1] } };
    const informer = createInformer<T>({ ...options, ...how, ...indexers, ref });
    informers.push(informer as unknown as Informer<KubeObject>);
    return informer.store;
  }, informers);
}

/** The same copies, however each of them is filled; `informers` are those that keep them up to date. */
export function storesOver(make: Follow, informers: readonly Informer<KubeObject>[]): Stores {
  const stores = new Map<string, Store<KubeObject>>();
  const follow = <T extends KubeObject>(ref: ResourceRef, how: Following<T> = {}): Store<T> => {
    const store = make(ref, how);
    stores.set(resourceName(ref), store as unknown as Store<KubeObject>);
    return store;
  };
  const packed = createPacker();
  const byCenter: [string, (object: KubeObject) => string[]] = [BY_CENTER, centersOf];
  const ours = (ref: ResourceRef) =>
    follow<KubeObject>(ref, {
      labelSelector: `${LABELS.managedBy}=${MANAGER}`,
      index: byCenter,
      transform: (object: KubeObject) => packed(keepOthers(object)),
      readsHistory: (managers) => keepsAny(ref.kind, managers),
    });

  const centers = follow<FulfillmentCenter>(FULFILLMENT_CENTER, {
    index: [BY_REGION, ({ spec }) => [spec.region]],
    // A status is written with the metadata that was read: an annotation left out would no longer be the writer's who had set it.
    transform: dropManagedFields,
    readsHistory: false,
  });
  const tables = follow<RoutingTable>(ROUTING_TABLE);
  // All namespaces, not only ours: one that somebody else made under a cell's name must be seen.
  const namespaces = follow<KubeObject>(KINDS.namespace, { transform: nameAndMarks, readsHistory: false });
  const pods = follow<KubeObject>(KINDS.pod, {
    labelSelector: `${LABELS.managedBy}=${MANAGER}`,
    index: byCenter,
    transform: statusOnly,
    readsHistory: false,
  });
  const claims = ours(KINDS.persistentVolumeClaim);
  // By whomever: only those in namespaces of cells are found through the index.
  const autoscalers = follow<KubeObject>(KINDS.horizontalPodAutoscaler, {
    index: byCenter,
    transform: targetOnly,
    readsHistory: false,
  });
  const owned = CELL_KINDS.map(ours);
  const of = (ref: ResourceRef) => stores.get(resourceName(ref));
  return {
    centers,
    tables,
    namespaces,
    pods,
    claims,
    autoscalers,
    owned,
    secrets: of(KINDS.secret)!,
    services: of(KINDS.service)!,
    jobs: of(KINDS.job)!,
    informers,
    of,
    ofCenter: (store, center) => store.byIndex(BY_CENTER, center),
    centersOfRegion: (region) => centers.byIndex(BY_REGION, region),
  };
}

/** Centers that an object may belong to: its label can be changed by hand, its namespace cannot. */
export function centersOf({ metadata }: KubeObject): string[] {
  const label = metadata.labels?.[LABELS.center];
  const place = centerOfNamespace(metadata.namespace ?? "");
  return [...new Set([label, place].filter((one) => one !== undefined))];
}

/** Of an autoscaler only what it scales is read. */
function targetOnly(object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, spec } = stripHistory(object);
  const { scaleTargetRef } = (spec ?? {}) as { scaleTargetRef?: unknown };
  return { apiVersion, kind, metadata, spec: { scaleTargetRef } };
}

/** Of a namespace only its name, marks and state are read. */
function nameAndMarks(object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata } = stripHistory(object);
  const status = tellingStatus(object);
  return { apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
}

/** Of a pod only its labels, owner and status are read: its spec is most of its size. */
function statusOnly(object: KubeObject): KubeObject {
  const { apiVersion, kind, metadata, status } = stripHistory(object);
  return { apiVersion, kind, metadata, status };
}
