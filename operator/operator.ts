import { createApplier } from "../platform/kube/applycache.ts";
import { createKubeClient, type KubeClient } from "../platform/kube/client.ts";
import type { ClusterConfig } from "../platform/kube/config.ts";
import { type Controller, createController } from "../platform/kube/controller.ts";
import { createEventRecorder } from "../platform/kube/events.ts";
import { createKindTable } from "../platform/kube/kinds.ts";
import { createLease, type Lease, type LeaseOptions } from "../platform/kube/lease.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, systemTime } from "../platform/kube/ports.ts";
import type { Priority } from "../platform/kube/ready.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, FULFILLMENT_CENTER, MANAGER, ROUTING_TABLE } from "./api/names.ts";
import type { OperatorSettings } from "./api/settings.ts";
import type { Writer } from "./apply.ts";
import { createBrokerWatch, type Reach } from "./brokers.ts";
import { kafkaBrokers } from "./build/cell.ts";
import { type Chance, systemChance } from "./chance.ts";
import { createDrainWatch } from "./draining.ts";
import { claimed } from "./drift.ts";
import { createReconcile } from "./reconcile.ts";
import { createRoutingReconcile } from "./routing-controller.ts";
import { createSecretMemory, type SecretMemory } from "./secret-memory.ts";
import { createStores, type Stores } from "./stores.ts";
import { wakeOnChange } from "./wake.ts";

export const LEASE_NAME = "fulfillment-cells-operator";

/** Every center of a region is looked at for its table, and cells that come up together change together. */
const REGION_BURST_MS = 100;

export interface OperatorOptions {
  /** Where the API server is. */
  readonly config: ClusterConfig | { readonly client: KubeClient };
  readonly settings: OperatorSettings;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  /** Unique for each process. */
  readonly identity: string;
  readonly nowMs?: () => number;
  /** What a run depends on beside the cluster; with the same of both it does the same. */
  readonly time?: KubeTime;
  readonly chance?: Chance;
  /** Shorter times make a test of a hand-over quick. */
  readonly lease?: Pick<LeaseOptions, "durationMs" | "renewDeadlineMs" | "retryMs">;
  /** Where the orders service of a cell answers, when its Service has no address that is reached from here. */
  readonly ordersUrl?: (center: string) => string | undefined;
  /** Looks at brokers; without it a cell whose Kafka goes away is not told about. */
  readonly reachBrokers?: Reach;
  /** Wraps the client that writes; the crash tests count writes here. */
  readonly wrapClient?: (client: KubeClient) => KubeClient;
}

export interface Operator {
  /** Follows the cluster, and leads when its turn comes; ends with the signal, or when leadership is lost. */
  run(signal: AbortSignal): Promise<"stopped" | "lost">;
  /** True when every local copy has been filled. */
  hasSynced(): boolean;
  isLeading(): boolean;
  /** Longest time since any watch was heard of. */
  watchAgeMs(): number;
}

/** Puts one operator together. Nothing happens before run. */
export function createOperator(options: OperatorOptions): Operator {
  const { settings, log, metrics, identity } = options;
  const { time = systemTime, chance = systemChance } = options;
  const { random } = chance;
  const nowMs = options.nowMs ?? time.nowMs;
  const shared = {
    log,
    metrics,
    time,
    random,
    userAgent: "fulfillment-cells-operator",
    fieldManager: MANAGER,
  };
  const client =
    "client" in options.config ? options.config.client : createKubeClient(options.config, shared);
  const lease = createLease({
    client,
    name: LEASE_NAME,
    namespace: settings.namespace,
    identity,
    log,
    metrics,
    time,
    random,
    ...options.lease,
  });
  const stores = createStores({ client, log, metrics, time, random });
  const memory = createSecretMemory();
  const writer = createWriter(options, client.guardedBy(lease), stores, memory);
  const events = createEventRecorder({
    client: writer.client,
    controller: LEASE_NAME,
    instance: identity,
    log,
    time,
  });
  const drains = {
    watch: createDrainWatch({ nowMs, onChange: (center) => wake(centers, center) }),
    urlOf: options.ordersUrl,
  };
  const kafkaOf = ({ spec }: FulfillmentCenter) => kafkaBrokers({ spec, settings });
  const brokers =
    options.reachBrokers &&
    createBrokerWatch({
      reach: options.reachBrokers,
      inUse: () => stores.centers.list().map(kafkaOf),
      onChange: (list) => {
        for (const fc of stores.centers.list()) if (kafkaOf(fc) === list) wake(centers, fc.metadata.name);
      },
      time,
    });
  const centers: Controller = createController({
    name: "fulfillmentcenter",
    reconcile: createReconcile({
      ...{ settings, stores, writer, events, drains, brokers, log, metrics, memory, nowMs, chance },
    }),
    log,
    metrics,
    time,
    workers: settings.workers,
  });
  const regions = createController({
    name: "routingtable",
    reconcile: createRoutingReconcile({ settings, stores, writer, events, log, nowMs, chance }),
    log,
    metrics,
    time,
    workers: 2,
  });
  for (const region of settings.regions) regions.enqueue(region);
  wakeOnChange(stores, {
    center: (name, delayMs, priority) => wake(centers, name, delayMs, priority),
    region: (name) => wake(regions, name, REGION_BURST_MS),
  });

  return {
    hasSynced: () => stores.informers.every(({ store }) => store.hasSynced()),
    isLeading: () => lease.valid(),
    watchAgeMs: () => Math.max(...stores.informers.map((informer) => informer.ageMs())),
    run: (signal) =>
      runOperator(
        { client, lease, stores, events, workers: [centers, regions, ...(brokers ? [brokers] : [])] },
        signal,
      ),
  };
}

/** A little later, so that a burst of changes of one cell becomes one pass. */
function wake(controller: Controller, key: string, delayMs = 0, priority: Priority = "normal"): void {
  if (delayMs === 0) controller.enqueue(key, priority);
  else controller.queue.addAfter(key, delayMs);
}

function createWriter(
  options: OperatorOptions,
  guarded: KubeClient,
  stores: Stores,
  memory: SecretMemory,
): Writer {
  const client = options.wrapClient?.(guarded) ?? guarded;
  const refOf = createKindTable([FULFILLMENT_CENTER, ROUTING_TABLE]);
  const applier = createApplier({
    client,
    refOf,
    storeOf: (ref) => stores.of(ref),
    metrics: options.metrics,
    hashAnnotation: ANNOTATIONS.applied,
    manager: MANAGER,
    claim: claimed,
    time: options.time ?? systemTime,
  });
  const nowMs = options.nowMs ?? options.time?.nowMs ?? Date.now;
  return { client, applier, stores, refOf, memory, nowMs };
}

interface Parts {
  readonly client: KubeClient;
  readonly lease: Lease;
  readonly stores: Stores;
  readonly events: { flush(): Promise<void> };
  /** What works while this process leads. */
  readonly workers: readonly { run(signal: AbortSignal): Promise<void> }[];
}

async function runOperator(parts: Parts, signal: AbortSignal): Promise<"stopped" | "lost"> {
  const { client, lease, stores, events, workers } = parts;
  const watching = new AbortController();
  const follow = stores.informers.map((informer) => informer.run(watching.signal));
  try {
    // A standby follows the cluster as well: it leads with warm copies.
    await Promise.all(stores.informers.map((informer) => informer.synced(signal)));
    return await lease.run(async (leading) => {
      await Promise.all(workers.map((worker) => worker.run(leading)));
      await events.flush();
    }, signal);
  } finally {
    watching.abort();
    await Promise.all(follow);
    await client.close();
  }
}
