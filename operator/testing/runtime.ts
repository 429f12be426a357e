import type { KubeClient } from "../../platform/kube/client.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { isDeleting, type KubeObject } from "../../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { LABELS, MANAGER } from "../api/names.ts";
import { podStatus, purposeOf } from "./podstatus.ts";

/** Last words of a Job's pod. */
export interface Answer {
  readonly ok: boolean;
  readonly reason?: string;
  readonly message?: string;
  readonly epoch?: number;
}

export interface CellRuntime {
  /** What the next Jobs answer, by the second word of their command, or how to find out; default success. */
  answers: Map<string, Answer | ((pod: KubeObject) => Promise<Answer>)>;
  /** Jobs run so far, as "purpose center". */
  readonly ran: string[];
  /** Pods of these centers are left as they are. */
  readonly frozen: Set<string>;
  stop(): Promise<void>;
}

/**
 * Stands for the nodes that a test API server lacks: pods of cells become ready, pods of Jobs end with what a provision
 * Job says. The controllers above them (StatefulSet, Deployment, Job, namespaces) are Kubernetes' own.
 */
export function startCellRuntime(client: KubeClient): CellRuntime {
  const stop = new AbortController();
  const pods = createInformer({
    client,
    ref: KINDS.pod,
    labelSelector: `${LABELS.managedBy}=${MANAGER}`,
    log: silentLog,
    metrics: silentMetrics,
  });
  const claims = createInformer({
    client,
    ref: KINDS.persistentVolumeClaim,
    labelSelector: `${LABELS.managedBy}=${MANAGER}`,
    log: silentLog,
    metrics: silentMetrics,
  });
  const runtime: CellRuntime = {
    answers: new Map(),
    ran: [],
    frozen: new Set(),
    async stop() {
      stop.abort();
      await running;
    },
  };
  const started = new Set<string>();
  pods.store.onChange(({ type, object }) => {
    const { uid = "", labels } = object.metadata;
    if (type === "deleted" || isDeleting(object) || started.has(uid)) return;
    if (runtime.frozen.has(labels?.[LABELS.center] ?? "")) return;
    started.add(uid);
    void statusOf(object, runtime).then((status) =>
      client.patch(KINDS.pod, nameOf(object), { status }, { subresource: "status" }),
    );
  });
  // Protection of claims is lifted by the kubelet's reports; without one a claim of a deleted namespace would stay.
  claims.store.onChange(({ type, object }) => {
    if (type === "deleted" || !isDeleting(object) || object.metadata.finalizers === undefined) return;
    void client.patch(KINDS.persistentVolumeClaim, nameOf(object), { metadata: { finalizers: null } });
  });
  const running = Promise.all([pods.run(stop.signal), claims.run(stop.signal)]);
  return runtime;
}

function nameOf({ metadata }: KubeObject) {
  return { name: metadata.name, namespace: metadata.namespace ?? "" };
}

async function statusOf(pod: KubeObject, runtime: CellRuntime): Promise<Record<string, unknown>> {
  const told = runtime.answers.get(purposeOf(pod) ?? "");
  const answer = typeof told === "function" ? await told(pod) : (told ?? { ok: true });
  return podStatus(pod, Date.now(), ({ purpose, epoch }) => {
    runtime.ran.push(`${purpose} ${pod.metadata.labels?.[LABELS.center]}`);
    return { ...(answer.ok ? { epoch, schema: "test" } : {}), ...answer };
  });
}
