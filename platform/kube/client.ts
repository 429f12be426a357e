import type { ClusterConfig } from "./config.ts";
import { failureOfOutcome, type KubeFailure, type KubeResult } from "./failures.ts";
import { apiVersionOf, type KubeObject, type ObjectName, type ResourceRef } from "./objects.ts";
import { asWish, collectionPath, objectPath, queryOf, statusOnly } from "./paths.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, systemTime } from "./ports.ts";
import { createTransport, type Transport, type TransportRequest } from "./transport.ts";

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Whole call with its retries; default 30 s. */
  readonly timeoutMs?: number;
  /** Tries in all, default 5; 1 for callers that have their own backoff. */
  readonly attempts?: number;
}

/** A write that can be asked for without being done. */
export interface WriteOptions extends CallOptions {
  /** Admission, defaults and validation run, nothing is stored; the answer is what would have been. */
  readonly dryRun?: boolean;
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

export interface RemoveOptions extends WriteOptions {
  /** Refuses (conflict) when the live object has another uid: never deletes a namesake. */
  readonly uid?: string;
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
}

export interface WatchOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Where to begin; empty together with `initialEvents`. */
  readonly resourceVersion: string;
  /**
   * Begins with every object as it is now, ended by a bookmark of its own; refused as `invalid` by a server that
   * does not know it.
   */
  readonly initialEvents?: boolean;
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
  create<T extends KubeObject>(ref: ResourceRef, object: T, options?: WriteOptions): Promise<KubeResult<T>>;
  /**
   * Server-side apply with this client's field manager; takes over conflicting fields unless `force` is false.
   * Ignores uid and resourceVersion of `object`; `ifVersion` makes it conditional: `conflict` when the live object is at
   * another version. One that is gone is made all the same.
   */
  apply<T extends KubeObject>(
    ref: ResourceRef,
    object: T,
    options?: WriteOptions & { force?: boolean; fieldManager?: string; ifVersion?: string },
  ): Promise<KubeResult<T>>;
  /**
   * PUT of `object.status`, which costs the server less than an apply or a patch. Needs metadata.resourceVersion and answers
   * `conflict` when the live object has moved on or has another uid. Of the metadata nothing is changed; it is to be as it was
   * read, since the server takes what is missing for given up by whoever had set it.
   */
  updateStatus<T extends KubeObject>(
    ref: ResourceRef,
    object: T,
    options?: CallOptions,
  ): Promise<KubeResult<T>>;
  /** PUT: needs metadata.resourceVersion and answers `conflict` when the object has moved on. */
  update<T extends KubeObject>(ref: ResourceRef, object: T, options?: CallOptions): Promise<KubeResult<T>>;
  /** JSON merge patch. A `metadata.resourceVersion` in the patch makes it conditional. */
  patch<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    name: ObjectName,
    patch: Record<string, unknown>,
    options?: WriteOptions & { subresource?: "status" | "scale" },
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

/** Makes the client; nothing is sent before the first call. */
export function createKubeClient(config: ClusterConfig, options: KubeClientOptions): KubeClient {
  const transport = createTransport(config, {
    log: options.log,
    metrics: options.metrics,
    userAgent: options.userAgent,
    time: options.time ?? systemTime,
    random: options.random ?? Math.random,
  });
  return clientOver(transport, options.fieldManager, undefined);
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_ATTEMPTS = 5;
const PAGE_SIZE = 500;
const MAX_LIST_ITEMS = 100_000;

function clientOver(transport: Transport, fieldManager: string, guard: WriteGuard | undefined): KubeClient {
  async function send<T>(
    request: Pick<TransportRequest, "method" | "path" | "body" | "contentType">,
    options: CallOptions | undefined,
  ): Promise<KubeResult<T>> {
    const writes = request.method !== "GET";
    let isRefused = false;
    // Asked for each try, and last of all: a process may be paused at any moment before, and the lease is another's when it goes on.
    const mayStart = () => {
      isRefused = writes && guard !== undefined && !guard.valid();
      return !isRefused;
    };
    const signals = [options?.signal, writes ? guard?.signal : undefined].filter((one) => one !== undefined);
    const outcome = await transport.call({
      ...request,
      timeoutMs: options?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      attempts: options?.attempts ?? DEFAULT_ATTEMPTS,
      signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
      mayStart,
    });
    if (isRefused)
      return {
        ok: false,
        code: "notLeader",
        message: "this process does not hold the lease: nothing was written",
      };
    const failure = failureOfOutcome(outcome);
    if (failure !== undefined) return failure;
    try {
      return { ok: true, value: JSON.parse((outcome as { body: string }).body) as T };
    } catch {
      return {
        ok: false,
        code: "unavailable",
        message: "the API server's answer is not JSON: it was cut off",
      };
    }
  }
  const write =
    (method: "POST" | "PUT" | "PATCH" | "DELETE", contentType: string) =>
    <T>(path: string, body: unknown, options: CallOptions | undefined) =>
      send<T>({ method, path, body: JSON.stringify(body), contentType }, options);
  const post = write("POST", "application/json");
  const put = write("PUT", "application/json");
  const merge = write("PATCH", "application/merge-patch+json");
  const serverSideApply = write("PATCH", "application/apply-patch+yaml");
  const remove = write("DELETE", "application/json");

  const listPage = async <T extends KubeObject>(ref: ResourceRef, options: ListOptions = {}) => {
    const query = queryOf({
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
      limit: options.limit ?? PAGE_SIZE,
      continue: options.continueToken,
      resourceVersion: options.resourceVersion,
    });
    const path = collectionPath(ref, options.namespace) + query;
    const answer = await send<RawList<T>>({ method: "GET", path }, options);
    return answer.ok ? { ok: true as const, value: toPage(ref, answer.value) } : answer;
  };

  return {
    get: (ref, name, options) => send({ method: "GET", path: objectPath(ref, name) }, options),
    list: listPage,
    listAll: <T extends KubeObject>(ref: ResourceRef, options?: ListOptions & { maxItems?: number }) =>
      listEveryPage<T>((page) => listPage<T>(ref, page), ref, options),
    create: (ref, object, options) =>
      post(
        collectionPath(ref, object.metadata.namespace) + queryOf({ fieldManager, ...dryRunOf(options) }),
        object,
        options,
      ),
    apply: (ref, object, options) =>
      serverSideApply(
        objectPath(ref, object.metadata) +
          queryOf({
            fieldManager: options?.fieldManager ?? fieldManager,
            force: options?.force ?? true,
            ...dryRunOf(options),
          }),
        asWish(object, options?.ifVersion),
        options,
      ),
    updateStatus: (ref, object, options) =>
      put(
        `${objectPath(ref, object.metadata)}/status${queryOf({ fieldManager })}`,
        statusOnly(object),
        options,
      ),
    update: (ref, object, options) =>
      put(objectPath(ref, object.metadata) + queryOf({ fieldManager }), object, options),
    patch: (ref, name, patch, options) => {
      const suffix = options?.subresource === undefined ? "" : `/${options.subresource}`;
      const query = queryOf({ fieldManager, ...dryRunOf(options) });
      return merge(objectPath(ref, name) + suffix + query, patch, options);
    },
    async remove(ref, name, options) {
      const body = {
        kind: "DeleteOptions",
        apiVersion: "v1",
        ...(options?.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
        ...(options?.gracePeriodSeconds === undefined
          ? {}
          : { gracePeriodSeconds: options.gracePeriodSeconds }),
        propagationPolicy: options?.propagation ?? "Background",
        ...(options?.dryRun === true ? { dryRun: ["All"] } : {}),
      };
      const answer = await remove<unknown>(objectPath(ref, name), body, options);
      return answer.ok ? { ok: true, value: undefined } : answer;
    },
    async watch(ref, options) {
      const query = queryOf({
        watch: true,
        allowWatchBookmarks: true,
        ...(options.initialEvents === true
          ? { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" }
          : { resourceVersion: options.resourceVersion }),
        timeoutSeconds: options.timeoutSeconds,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
      });
      const opened = await transport.stream(collectionPath(ref, options.namespace) + query, options.signal);
      if (opened.kind === "stream") return { ok: true, value: opened.body };
      return (
        failureOfOutcome(opened) ?? { ok: false, code: "unavailable", message: "the watch did not open" }
      );
    },
    guardedBy: (next) => clientOver(transport, fieldManager, next),
    close: () => transport.close(),
  };
}

function dryRunOf(options: WriteOptions | undefined): { dryRun?: "All" } {
  return options?.dryRun === true ? { dryRun: "All" } : {};
}

interface RawList<T> {
  items?: T[] | null;
  metadata?: { resourceVersion?: string; continue?: string };
}

/** Items of a list come without kind and apiVersion; they are added, so that an object is the same wherever it came from. */
function toPage<T extends KubeObject>(ref: ResourceRef, list: RawList<T>): ObjectPage<T> {
  const apiVersion = apiVersionOf(ref);
  const next = list.metadata?.continue;
  return {
    items: (list.items ?? []).map((item) => ({ ...item, apiVersion, kind: ref.kind })),
    resourceVersion: list.metadata?.resourceVersion ?? "",
    ...(next === undefined || next === "" ? {} : { continueToken: next }),
  };
}

async function listEveryPage<T extends KubeObject>(
  listPage: (options: ListOptions) => Promise<KubeResult<ObjectPage<T>>>,
  ref: ResourceRef,
  options: ListOptions & { maxItems?: number } = {},
): Promise<KubeResult<ObjectPage<T>>> {
  const maxItems = options.maxItems ?? MAX_LIST_ITEMS;
  const items: T[] = [];
  let continueToken: string | undefined;
  for (;;) {
    const page = await listPage(continueToken === undefined ? options : { ...options, continueToken });
    // A continue token lives five minutes; when it has expired one large answer is better than none.
    if (!page.ok && page.code === "gone" && continueToken !== undefined)
      return listPage({ ...options, limit: maxItems });
    if (!page.ok) return page;
    items.push(...page.value.items);
    if (items.length > maxItems) return tooMany(ref, maxItems);
    if (page.value.continueToken === undefined)
      return { ok: true, value: { items, resourceVersion: page.value.resourceVersion } };
    continueToken = page.value.continueToken;
  }
}

function tooMany(ref: ResourceRef, maxItems: number): KubeFailure {
  return {
    ok: false,
    code: "invalid",
    message: `there are more than ${maxItems} ${ref.plural}: narrow the selector or raise maxItems`,
  };
}
