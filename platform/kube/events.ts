import { randomBytes } from "node:crypto";
import type { KubeClient } from "./client.ts";
import { KINDS } from "./kinds.ts";
import { formatMicroTime, type KubeObject } from "./objects.ts";
import { type KubeLog, type KubeTime, systemTime } from "./ports.ts";

export interface EventInput {
  readonly regarding: KubeObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase, why. */
  readonly reason: string;
  /** What was done or tried, for example "Provision". */
  readonly action: string;
  /** A sentence for people, at most 1 kB, nothing secret or personal. */
  readonly note: string;
}

/** Tells people what happened, without ever getting in the way of the work: bounded, aggregated, best effort. */
export interface EventRecorder {
  record(event: EventInput): void;
  /** Sends what waits; for a stop. */
  flush(): Promise<void>;
}

/** Events in the last ten minutes about one object: more would be noise. */
const MAX_PER_OBJECT = 25;
const WINDOW_MS = 600_000;
const MAX_QUEUED = 500;
const MAX_OBJECTS = 5_000;
const MAX_NOTE_CHARS = 1_000;

interface Known {
  readonly name: string;
  readonly namespace: string;
  count: number;
  readonly firstMs: number;
}

/** Makes a recorder for events.k8s.io/v1. The same event again becomes one series instead of another object. */
export function createEventRecorder(options: {
  client: KubeClient;
  /** For example "fulfillment-cells-operator". */
  controller: string;
  /** Pod name. */
  instance: string;
  /** Namespace for events about cluster-scoped objects; default "default", where kubectl describe looks. */
  clusterScopeNamespace?: string;
  log: KubeLog;
  time?: KubeTime;
}): EventRecorder {
  const { client, controller, instance, clusterScopeNamespace = "default", log, time = systemTime } = options;
  const queue: EventInput[] = [];
  const known = new Map<string, Known>();
  const spent = new Map<string, { count: number; sinceMs: number }>();
  let sending: Promise<void> | undefined;

  function mayTell(uid: string): boolean {
    const nowMs = time.monotonicMs();
    const budget = spent.get(uid);
    if (budget === undefined || nowMs - budget.sinceMs > WINDOW_MS) {
      if (spent.size >= MAX_OBJECTS) spent.clear();
      spent.set(uid, { count: 1, sinceMs: nowMs });
      return true;
    }
    budget.count++;
    return budget.count <= MAX_PER_OBJECT;
  }

  async function send(event: EventInput): Promise<void> {
    const { metadata } = event.regarding;
    const key = [metadata.uid, event.type, event.reason, event.action, event.note].join("\u0000");
    const before = known.get(key);
    const nowMs = time.nowMs();
    if (before !== undefined && time.monotonicMs() - before.firstMs < WINDOW_MS) {
      before.count++;
      const series = { count: before.count, lastObservedTime: formatMicroTime(nowMs) };
      const patched = await client.patch(
        KINDS.event,
        { name: before.name, namespace: before.namespace },
        { series },
      );
      if (patched.ok || patched.code !== "notFound") return;
    }
    const namespace = metadata.namespace ?? clusterScopeNamespace;
    const name = `${metadata.name.slice(0, 200)}.${randomBytes(8).toString("hex")}`;
    const created = await client.create(KINDS.event, {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name, namespace },
      eventTime: formatMicroTime(nowMs),
      reportingController: controller,
      reportingInstance: instance.slice(0, 128),
      action: event.action,
      reason: event.reason,
      type: event.type,
      note: event.note.slice(0, MAX_NOTE_CHARS),
      regarding: {
        apiVersion: event.regarding.apiVersion,
        kind: event.regarding.kind,
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      },
    });
    if (!created.ok) {
      log.debug({ reason: event.reason, code: created.code }, "an event could not be written");
      return;
    }
    if (known.size >= MAX_OBJECTS) known.clear();
    known.set(key, { name, namespace, count: 1, firstMs: time.monotonicMs() });
  }

  async function drain(): Promise<void> {
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      try {
        await send(event);
      } catch (error) {
        log.debug({ error: String(error) }, "an event could not be written");
      }
    }
  }

  function start(): Promise<void> {
    sending ??= drain().finally(() => {
      sending = undefined;
    });
    return sending;
  }

  return {
    record(event) {
      if (
        queue.length >= MAX_QUEUED ||
        !mayTell(event.regarding.metadata.uid ?? event.regarding.metadata.name)
      )
        return;
      queue.push(event);
      void start();
    },
    flush: () => start(),
  };
}
