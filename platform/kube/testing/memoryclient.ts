import type { KubeClient, ListOptions, WatchOptions, WriteGuard } from "../client.ts";
import { failureOf, type KubeFailure, type KubeResult } from "../failures.ts";
import {
  apiVersionOf,
  type KubeObject,
  type ObjectName,
  type ResourceRef,
  resourceName,
} from "../objects.ts";
import { asWish, statusOnly } from "../paths.ts";
import type { KubeTime } from "../ports.ts";
import type { FakeAnswer, FakeChange, FakeStorage } from "./fakestorage.ts";

export interface MemoryClientOptions {
  readonly storage: FakeStorage;
  readonly time: KubeTime;
  readonly fieldManager: string;
  /** The first list of each selection shows the state of this version, as one does that comes from a cache. */
  readonly listsAt?: number;
}

interface Shared extends MemoryClientOptions {
  /** Selections that have been listed. */
  readonly listed: Set<string>;
}

const MAX_FRAMES = 100_000;
const encoder = new TextEncoder();

/**
 * A client whose API server is a storage in this process: no socket, no timer of its own, every answer in the same turn
 * of the event loop. What it sends is copied as JSON, as a wire would.
 */
export function createMemoryClient(options: MemoryClientOptions): KubeClient {
  return clientOver({ ...options, listed: new Set() }, undefined);
}

function clientOver(options: Shared, guard: WriteGuard | undefined): KubeClient {
  const { storage, fieldManager } = options;
  const refused = (signal: AbortSignal | undefined): KubeFailure | undefined => {
    if (guard !== undefined && !guard.valid())
      return {
        ok: false,
        code: "notLeader",
        message: "this process does not hold the lease: nothing was sent",
      };
    return signal?.aborted || guard?.signal?.aborted
      ? { ok: false, code: "aborted", message: "the call was ended" }
      : undefined;
  };
  const write = async <T>(
    call: { signal?: AbortSignal } | undefined,
    perform: () => FakeAnswer,
  ): Promise<KubeResult<T>> => refused(call?.signal) ?? resultOf<T>(perform());

  const list = async <T extends KubeObject>(ref: ResourceRef, asked: ListOptions = {}) =>
    pageOf<T>(options, ref, asked);
  return {
    get: async (ref, name) => {
      const found = storage.get(resourceName(ref), keyOf(ref, name));
      return found === undefined
        ? failureOf(404, { reason: "NotFound", message: `${ref.kind} ${name.name} not found` })
        : { ok: true, value: copy(found) as never };
    },
    list,
    listAll: (ref, asked) => list(ref, { ...asked, limit: Number.POSITIVE_INFINITY }),
    create: (ref, object, call) =>
      write(call, () => storage.create(resourceName(ref), named(copy(object)), fieldManager)),
    apply: (ref, object, call) =>
      write(call, () =>
        storage.apply(
          resourceName(ref),
          copy(asWish(object, call?.ifVersion)),
          call?.fieldManager ?? fieldManager,
          call?.force ?? true,
        ),
      ),
    updateStatus: (ref, object, call) =>
      write(call, () => storage.update(resourceName(ref), copy(statusOnly(object)), "status", fieldManager)),
    update: (ref, object, call) =>
      write(call, () => storage.update(resourceName(ref), copy(object), "main", fieldManager)),
    patch: (ref, name, patch, call) => {
      const part = call?.subresource === "status" ? "status" : "main";
      return write(call, () => {
        const [collection, key] = [resourceName(ref), keyOf(ref, name)];
        const answer = storage.merge(collection, key, copy(patch), part, fieldManager);
        if (!answer.ok) return answer;
        const metadata = { ...answer.object.metadata, managedFields: storage.managedFields(collection, key) };
        return { ...answer, object: { ...answer.object, metadata } };
      });
    },
    remove: async (ref, name, call) => {
      const answer = await write<unknown>(call, () =>
        storage.remove(resourceName(ref), keyOf(ref, name), call?.uid),
      );
      return answer.ok ? { ok: true, value: undefined } : answer;
    },
    watch: async (ref, asked) => openWatch(options, ref, asked),
    guardedBy: (next) => clientOver(options, next),
    close: async () => {},
  };
}

function keyOf(ref: ResourceRef, { name, namespace = "" }: ObjectName): string {
  return `${ref.namespaced ? namespace : ""}/${name}`;
}

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Gives an object with a generateName its name. */
function named<T extends KubeObject>(object: T): T {
  const { generateName } = object.metadata as { generateName?: string };
  if (generateName === undefined || object.metadata.name) return object;
  const suffix = Math.random().toString(36).slice(2, 7).padEnd(5, "0");
  return { ...object, metadata: { ...object.metadata, name: `${generateName}${suffix}` } };
}

function resultOf<T>(answer: FakeAnswer): KubeResult<T> {
  return answer.ok
    ? { ok: true, value: copy(answer.object) as unknown as T }
    : failureOf(answer.status, answer.body);
}

/** Equality terms only: `a=b,c=d`, and a bare name for "is there". */
export function createSelection(asked: { namespace?: string; labelSelector?: string }) {
  const terms = (asked.labelSelector ?? "")
    .split(",")
    .filter((term) => term !== "")
    .map((term) => term.split("="));
  return ({ metadata }: KubeObject): boolean =>
    (asked.namespace === undefined || asked.namespace === "" || metadata.namespace === asked.namespace) &&
    terms.every(([label = "", value]) =>
      value === undefined ? metadata.labels?.[label] !== undefined : metadata.labels?.[label] === value,
    );
}

function pageOf<T extends KubeObject>(options: Shared, ref: ResourceRef, asked: ListOptions) {
  const { storage, listed } = options;
  const selection = [resourceName(ref), asked.namespace, asked.labelSelector].join(" ");
  const first = listed.has(selection) ? storage.version : (options.listsAt ?? storage.version);
  if (asked.continueToken === undefined) listed.add(selection);
  const [at = 0, version = first] = (asked.continueToken ?? "")
    .split(":")
    .filter((part) => part !== "")
    .map(Number);
  if (version < storage.oldest) return failureOf(410, { reason: "Expired", message: "the list is too old" });
  const collection = resourceName(ref);
  const present =
    version === storage.version ? storage.list(collection) : storage.listAt(collection, version);
  const all = present.filter(createSelection(asked));
  const end = at + (asked.limit ?? 500);
  const items = all
    .slice(at, end)
    .map((object) => copy({ ...object, apiVersion: apiVersionOf(ref), kind: ref.kind }) as unknown as T);
  return {
    ok: true as const,
    value: {
      items,
      resourceVersion: String(version),
      ...(end < all.length ? { continueToken: `${end}:${version}` } : {}),
    },
  };
}

/** What a watch with this selection is told of a change; an object that leaves the selection is deleted to it. */
function frameOf(change: FakeChange, selects: (object: KubeObject) => boolean): Uint8Array | undefined {
  const { type, object, previous } = change;
  const was = previous !== undefined && selects(previous);
  const is = type !== "DELETED" && selects(object);
  if (!was && !is) return undefined;
  return encoder.encode(
    `${JSON.stringify({ type: is ? (was ? "MODIFIED" : "ADDED") : "DELETED", object })}\n`,
  );
}

function openWatch(
  { storage, time }: MemoryClientOptions,
  ref: ResourceRef,
  asked: WatchOptions,
): KubeResult<AsyncIterable<Uint8Array>> {
  const from = Number(asked.resourceVersion);
  if (from < storage.oldest)
    return failureOf(410, { reason: "Expired", message: "too old resource version" });
  const collection = resourceName(ref);
  const selects = createSelection(asked);
  const stream = createStream();
  const tell = (change: FakeChange) => {
    if (change.collection !== collection) return;
    const frame = frameOf(change, selects);
    if (frame !== undefined) stream.push(frame);
  };
  for (const change of storage.since(from)) tell(change);
  const stop = storage.onChange(tell);
  const metadata = () => ({ resourceVersion: String(storage.version) });
  const cancel = time.setTimer(asked.timeoutSeconds * 1000, () => {
    const object = { apiVersion: apiVersionOf(ref), kind: ref.kind, metadata: metadata() };
    stream.push(encoder.encode(`${JSON.stringify({ type: "BOOKMARK", object })}\n`));
    finish();
  });
  const finish = () => {
    stop();
    cancel();
    asked.signal.removeEventListener("abort", finish);
    stream.end();
  };
  if (asked.signal.aborted) finish();
  else asked.signal.addEventListener("abort", finish);
  return { ok: true, value: stream.frames };
}

/** A queue that is read as a stream. */
export function createStream() {
  const waiting: Uint8Array[] = [];
  let wake: (() => void) | undefined;
  let ended = false;
  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (ended) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  const stir = () => {
    wake?.();
    wake = undefined;
  };
  return {
    frames: read() as AsyncIterable<Uint8Array>,
    push(frame: Uint8Array) {
      if (waiting.length >= MAX_FRAMES) throw new Error("nobody reads this watch");
      waiting.push(frame);
      stir();
    },
    end() {
      ended = true;
      stir();
    },
  };
}
