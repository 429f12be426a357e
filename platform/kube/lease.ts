import type { KubeClient, WriteGuard } from "./client.ts";
import type { KubeLog, KubeMetrics, KubeTime } from "./ports.ts";

export interface LeaseOptions {
  readonly client: KubeClient;
  readonly name: string;
  readonly namespace: string;
  /** Unique per process, for example the pod's name and a random suffix. */
  readonly identity: string;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly time?: KubeTime;
  readonly random?: () => number;
  /** How long others wait before they take over; default 15 s. */
  readonly durationMs?: number;
  /** How long we try to renew before we give up; default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Pause between attempts; default 2 s. */
  readonly retryMs?: number;
}

/** Leadership by a coordination.k8s.io Lease. While held it is a WriteGuard. */
export interface Lease extends WriteGuard {
  /**
   * Waits to become leader, then runs `lead` with a signal that aborts when leadership is lost or `signal` stops.
   * Releases the Lease after `lead` has ended. Resolves "stopped" (asked to stop) or "lost" (the process should exit).
   */
  run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<"stopped" | "lost">;
  /** Identity of the present holder as last seen. */
  holder(): string | undefined;
  /** Aborts when leadership is lost. */
  readonly signal: AbortSignal;
}

export declare function createLease(options: LeaseOptions): Lease;
