import type { FulfillmentCenterInput } from "../../operator/api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER } from "../../operator/api/names.ts";
import type { KubeClient } from "../../platform/kube/client.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import { type Condition, isConditionTrue, type KubeObject } from "../../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { must, until } from "./must.ts";

/** Centers of one region: its table names each of them, and the API server takes no object above 1.5 MB. */
const CENTERS_PER_REGION = 100;
const CREATES_AT_ONCE = 16;

/** Spec of every center of the bench. */
export function centerSpec(region: string, image: string): FulfillmentCenterInput {
  return {
    region,
    topology: "Compact",
    location: { latitude: "37.5663", longitude: "126.9018" },
    coverage: { radiusMeters: 8000 },
    database: { engine: "PostgreSQL", storage: "1Gi" },
    release: { image },
    deletion: { policy: "Delete" },
  };
}

/** Regions that `count` centers are spread over. */
export function regionsOf(count: number): string[] {
  return Array.from({ length: Math.ceil(count / CENTERS_PER_REGION) }, (_, index) => `region-${index}`);
}

/** Names of a batch of centers. */
export function centerNames(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(4, "0")}`);
}

export interface ReadyOptions {
  readonly stallMs: number;
  readonly signal: AbortSignal;
  /** Told after each tenth how many are Ready. */
  readonly note?: (text: string) => void;
}

/** Follows all centers and remembers when each was first seen Ready. */
export interface Watcher {
  /** Milliseconds on performance.now()'s clock. */
  readonly createdMs: ReadonlyMap<string, number>;
  readonly readyMs: ReadonlyMap<string, number>;
  /** Creates centers and returns when the API server has taken them all. */
  create(names: readonly string[], image: string): Promise<void>;
  /** However long it takes, as long as one more of them is Ready within `stallMs`. */
  waitReady(names: readonly string[], options: ReadyOptions): Promise<void>;
  /** The newest state seen. */
  get(name: string): KubeObject | undefined;
  stop(): Promise<void>;
}

export async function watchCenters(client: KubeClient, signal: AbortSignal): Promise<Watcher> {
  const stop = new AbortController();
  const informer = createInformer({
    client,
    ref: FULFILLMENT_CENTER,
    log: silentLog,
    metrics: silentMetrics,
  });
  const createdMs = new Map<string, number>();
  const readyMs = new Map<string, number>();
  informer.store.onChange(({ type, object }) => {
    const { conditions } = (object.status ?? {}) as { conditions?: Condition[] };
    const { name } = object.metadata;
    if (type !== "deleted" && isConditionTrue(conditions, "Ready") && !readyMs.has(name))
      readyMs.set(name, performance.now());
  });
  const running = informer.run(stop.signal);
  await informer.synced(signal);
  let created = 0;
  return {
    createdMs,
    readyMs,
    async create(names, image) {
      const waiting = [...names];
      const work = async () => {
        for (let name = waiting.shift(); name !== undefined && !signal.aborted; name = waiting.shift()) {
          const region = `region-${Math.floor(created++ / CENTERS_PER_REGION)}`;
          createdMs.set(name, performance.now());
          must(
            await client.create(FULFILLMENT_CENTER, {
              apiVersion: API_VERSION,
              kind: FULFILLMENT_CENTER.kind,
              metadata: { name },
              spec: centerSpec(region, image),
            } as KubeObject),
          );
        }
      };
      await Promise.all(Array.from({ length: CREATES_AT_ONCE }, work));
    },
    waitReady(names, { stallMs, signal: ending, note }) {
      const tenth = Math.ceil(names.length / 10);
      let ready = 0;
      let told = 0;
      const areAll = () => {
        ready = names.filter((name) => readyMs.has(name)).length;
        if (ready >= told + tenth) {
          told = ready;
          note?.(`${ready} of ${names.length} Ready`);
        }
        return ready === names.length;
      };
      const bounds = { deadlineMs: stallMs, pollMs: 20, signal: ending, progress: () => ready };
      return until(`Ready of ${names.length} centers`, areAll, bounds);
    },
    get: (name) => informer.store.get(name),
    async stop() {
      stop.abort();
      await running;
    },
  };
}
