import type { ClusterConfig } from "./config.ts";
import type { KubeObject, ObjectName, ResourceRef } from "./objects.ts";
import type { KubeLog, KubeMetrics, KubeTime } from "./ports.ts";

/**
 * Why a call failed. `invalid` also covers a malformed request; `gone` is an expired resource version or
 * continue token; `unavailable` any 5xx or a connection that failed; `notLeader` a write that the guard refused
 * before it was sent; `aborted` means that the caller's signal ended it.
 */
export type KubeFailureCode =
  | "notFound"
  | "conflict"
  | "alreadyExists"
  | "unauthorized"
  | "forbidden"
  | "invalid"
  | "gone"
  | "tooManyRequests"
  | "unavailable"
  | "timeout"
  | "aborted"
  | "notLeader";

export interface KubeFailure {
  readonly ok: false;
  readonly code: KubeFailureCode;
  /** The server's own sentence where there is one. */
  readonly message: string;
  /** HTTP status, absent when no answer came. */
  readonly status?: number;
  readonly retryAfterMs?: number;
}

export type KubeResult<T> = { readonly ok: true; readonly value: T } | KubeFailure;

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Whole call with its retries; default 30 s. */
  readonly timeoutMs?: number;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Page size; default 500. */
  readonly limit?: number;
  readonly continueToken?: string;
  readonly resourceVersion?: string;
}

export interface ObjectPage<T> {
  readonly items: T[];
  readonly resourceVersion: string;
  /** Present when there is a next page. */
  readonly continueToken?: string;
}

export interface RemoveOptions extends CallOptions {
  /** Refuses (conflict) when the live object has another uid: never deletes a namesake. */
  readonly uid?: string;
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
}

export interface WatchOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Typed calls to the API server over pooled connections. Expected failures are returned, never thrown.
 * GET and LIST are repeated on 429, 5xx and broken connections; writes are sent once.
 */
export interface KubeClient {
  get<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    name: ObjectName,
    options?: CallOptions,
  ): Promise<KubeResult<T>>;
  /** One page. */
  list<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    options?: ListOptions,
  ): Promise<KubeResult<ObjectPage<T>>>;
  /** Every page, at most `maxItems` (default 100,000) objects. */
  listAll<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    options?: ListOptions & { maxItems?: number },
  ): Promise<KubeResult<ObjectPage<T>>>;
  create<T extends KubeObject>(ref: ResourceRef, object: T, options?: CallOptions): Promise<KubeResult<T>>;
  /** Server-side apply with this client's field manager; takes over conflicting fields unless `force` is false. */
  apply<T extends KubeObject>(
    ref: ResourceRef,
    object: T,
    options?: CallOptions & { force?: boolean; fieldManager?: string },
  ): Promise<KubeResult<T>>;
  /** Server-side apply of `object.status` only. */
  applyStatus<T extends KubeObject>(
    ref: ResourceRef,
    object: T,
    options?: CallOptions & { fieldManager?: string },
  ): Promise<KubeResult<T>>;
  /** PUT: needs metadata.resourceVersion and answers `conflict` when the object has moved on. */
  update<T extends KubeObject>(ref: ResourceRef, object: T, options?: CallOptions): Promise<KubeResult<T>>;
  /** JSON merge patch. A `metadata.resourceVersion` in the patch makes it conditional. */
  patch<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    name: ObjectName,
    patch: Record<string, unknown>,
    options?: CallOptions & { subresource?: "status" | "scale" },
  ): Promise<KubeResult<T>>;
  remove(ref: ResourceRef, name: ObjectName, options?: RemoveOptions): Promise<KubeResult<undefined>>;
  /** Opens a watch; the frames are raw bytes, one JSON document a line. */
  watch(ref: ResourceRef, options: WatchOptions): Promise<KubeResult<AsyncIterable<Uint8Array>>>;
  /** The same client whose writes first ask `guard`, and are ended by its signal. */
  guardedBy(guard: WriteGuard): KubeClient;
  close(): Promise<void>;
}

/** Says whether writing is allowed at this moment: a held Lease is one. */
export interface WriteGuard {
  valid(): boolean;
  /** Aborts when the right to write is lost. */
  readonly signal?: AbortSignal;
}

export interface KubeClientOptions {
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
  readonly fieldManager: string;
  readonly time?: KubeTime;
  readonly random?: () => number;
}

export declare function createKubeClient(config: ClusterConfig, options: KubeClientOptions): KubeClient;
