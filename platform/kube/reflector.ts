import type { KubeClient } from "./client.ts";
import type { KubeObject, ResourceRef } from "./objects.ts";
import type { KubeLog, KubeMetrics, KubeTime } from "./ports.ts";
import type { Indexers, Store, WritableStore } from "./store.ts";

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly ref: ResourceRef;
  readonly store: WritableStore<T>;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Runs on each object before it is stored; default drops managedFields and last-applied. */
  readonly transform?: (object: T) => T;
  readonly time?: KubeTime;
  readonly random?: () => number;
  readonly limits?: Partial<ReflectorLimits>;
}

export interface ReflectorLimits {
  readonly pageSize: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Backoff starts again from its minimum after this long without a failure. */
  readonly backoffResetMs: number;
  /** A watch that carries no byte for this long is cut and resumed. */
  readonly silenceMs: number;
  readonly watchMinSeconds: number;
  readonly watchMaxSeconds: number;
}

export interface Reflector {
  /** Follows the resource until the signal aborts; never throws. */
  run(signal: AbortSignal): Promise<void>;
  /** Milliseconds since anything was heard from the server; Infinity before the first answer. */
  ageMs(): number;
}

export declare function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector;

/** A store and the reflector that fills it. */
export interface Informer<T extends KubeObject> {
  readonly ref: ResourceRef;
  readonly store: Store<T>;
  run(signal: AbortSignal): Promise<void>;
  ageMs(): number;
  /** Resolves true when the first LIST is in the store, false when the signal aborts first. */
  synced(signal: AbortSignal): Promise<boolean>;
}

export declare function createInformer<T extends KubeObject = KubeObject>(
  options: Omit<ReflectorOptions<T>, "store"> & { indexers?: Indexers<T> },
): Informer<T>;
