import type { KubeClient } from "./client.ts";
import type { KubeObject } from "./objects.ts";
import type { KubeLog, KubeTime } from "./ports.ts";

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

export declare function createEventRecorder(options: {
  client: KubeClient;
  /** For example "fulfillment-cells-operator". */
  controller: string;
  /** Pod name. */
  instance: string;
  /** Namespace for events about cluster-scoped objects; default "default", where kubectl describe looks. */
  clusterScopeNamespace?: string;
  log: KubeLog;
  time?: KubeTime;
}): EventRecorder;
