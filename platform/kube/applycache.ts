import type { KubeClient, KubeResult } from "./client.ts";
import type { KubeObject, ResourceRef } from "./objects.ts";
import type { KubeMetrics, KubeTime } from "./ports.ts";
import type { Store } from "./store.ts";

/** What an apply did: `unchanged` sent nothing; `applied` sent it, and `changed` says whether the object moved. */
export type ApplyOutcome =
  | { readonly kind: "unchanged"; readonly object: KubeObject }
  | { readonly kind: "applied"; readonly changed: boolean; readonly object: KubeObject };

/**
 * Server-side apply that sends nothing when nothing would change, and remembers what was written until the
 * stores show it.
 */
export interface Applier {
  /**
   * Applies `object` unless the store's copy already is what the same desired object led to. `owner` is the
   * reconcile key that the write belongs to, for caughtUp.
   */
  apply(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal; force?: boolean },
  ): Promise<KubeResult<ApplyOutcome>>;
  /** Applies `object.status` on the status subresource, unless the store shows an equal status already. */
  applyStatus(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal },
  ): Promise<KubeResult<ApplyOutcome>>;
  /** Deletes by uid and forgets the object; an object already gone is success. */
  remove(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal; propagation?: "Background" | "Foreground" | "Orphan" },
  ): Promise<KubeResult<undefined>>;
  /**
   * False while a store still lags behind this owner's own writes (at most `maxLagMs`, default 5 s: then it
   * fails open). A reconcile that starts before that would act on the past.
   */
  caughtUp(owner: string): boolean;
  /** Drops everything known about an owner. */
  forget(owner: string): void;
}

export interface ApplierOptions {
  readonly client: KubeClient;
  readonly refOf: (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef;
  /** The store that follows this kind, when there is one. */
  readonly storeOf: (ref: ResourceRef) => Store<KubeObject> | undefined;
  readonly metrics: KubeMetrics;
  /**
   * Annotation that carries the hash of the desired object. With it a restarted process knows, without writing,
   * that an object is as desired.
   */
  readonly hashAnnotation?: string;
  readonly maxEntries?: number;
  readonly maxLagMs?: number;
  readonly time?: KubeTime;
}

export declare function createApplier(options: ApplierOptions): Applier;
