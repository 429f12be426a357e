import type { KubeClient, WriteGuard } from "./client.ts";
import { KINDS } from "./kinds.ts";
import { formatMicroTime, type KubeObject } from "./objects.ts";
import { type KubeLog, type KubeMetrics, type KubeTime, sleep, systemTime } from "./ports.ts";

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

interface LeaseObject extends KubeObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** Added to waits, so that standbys do not ask in step (client-go's JitterFactor). */
const JITTER = 1.2;

/**
 * Makes one candidate. As in client-go, a candidate trusts only its own monotonic clock: a lease has run out when it has not
 * changed for its duration since this process last saw it change.
 */
export function createLease(options: LeaseOptions): Lease {
  const { client, name, namespace, identity, log, time = systemTime, random = Math.random } = options;
  const { durationMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
  const master = options.metrics.gauge("leader_election_master_status", "1 while this process leads", [
    "name",
  ]);
  /** One request that hangs must leave time for another. */
  const attemptMs = renewDeadlineMs / 2;
  const lost = new AbortController();
  let seen: { version: string; holder: string; atMs: number; durationMs: number } | undefined;
  let heldUntilMs = Number.NEGATIVE_INFINITY;
  let isLeading = false;

  const valid = () => isLeading && !lost.signal.aborted && time.monotonicMs() < heldUntilMs;

  /** One attempt to take or renew; true when the lease is ours afterwards. */
  async function tryHold(signal: AbortSignal): Promise<boolean> {
    const askedMs = time.monotonicMs();
    const found = await client.get<LeaseObject>(
      KINDS.lease,
      { name, namespace },
      { signal, timeoutMs: attemptMs, attempts: 1 },
    );
    if (!found.ok && found.code !== "notFound") return false;
    const current = found.ok ? found.value : undefined;
    observe(current);
    const holder = current?.spec?.holderIdentity ?? "";
    if (holder !== "" && holder !== identity && !hasRunOut()) return false;
    const written = await write(current, identity, signal);
    if (!written) return false;
    // Counted from before the request, and shorter than others wait: what is sent in the last moment still arrives in time.
    heldUntilMs = askedMs + renewDeadlineMs;
    return true;
  }

  function observe(current: LeaseObject | undefined): void {
    const version = current?.metadata.resourceVersion ?? "";
    if (seen?.version === version) return;
    const seconds = current?.spec?.leaseDurationSeconds;
    const own = seconds === undefined ? durationMs : seconds * 1000;
    seen = {
      version,
      holder: current?.spec?.holderIdentity ?? "",
      atMs: time.monotonicMs(),
      durationMs: own,
    };
  }

  const hasRunOut = () => seen === undefined || time.monotonicMs() - seen.atMs > seen.durationMs;

  async function write(
    current: LeaseObject | undefined,
    holder: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const now = formatMicroTime(time.nowMs());
    const before = current?.spec;
    const changes = before?.holderIdentity !== holder;
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: holder === "" ? 1 : Math.max(1, Math.round(durationMs / 1000)),
      acquireTime: changes ? now : (before?.acquireTime ?? now),
      renewTime: now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (changes && current !== undefined ? 1 : 0),
    };
    const object: LeaseObject = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        name,
        namespace,
        ...(current?.metadata.resourceVersion ? { resourceVersion: current.metadata.resourceVersion } : {}),
      },
      spec,
    };
    const result =
      current === undefined
        ? await client.create(KINDS.lease, object, { signal, timeoutMs: attemptMs, attempts: 1 })
        : await client.update(KINDS.lease, object, { signal, timeoutMs: attemptMs, attempts: 1 });
    if (result.ok) observe(result.value as LeaseObject);
    return result.ok;
  }

  async function acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (await tryHold(signal)) return true;
      await sleep(time, retryMs * (1 + (JITTER - 1) * random()), signal);
    }
    return false;
  }

  /** Renews until asked to stop; false when the lease could not be kept. */
  async function keep(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await sleep(time, retryMs, signal);
      if (signal.aborted || (await tryHold(signal))) continue;
      if (signal.aborted) break;
      if (seen?.holder !== identity || time.monotonicMs() >= heldUntilMs) return false;
    }
    return true;
  }

  async function release(): Promise<void> {
    const timeout = AbortSignal.timeout(3_000);
    const found = await client.get<LeaseObject>(KINDS.lease, { name, namespace }, { signal: timeout });
    if (found.ok && found.value.spec?.holderIdentity === identity) await write(found.value, "", timeout);
  }

  return {
    valid,
    holder: () => seen?.holder,
    signal: lost.signal,
    async run(lead, signal) {
      if (!(await acquire(signal))) return "stopped";
      if (signal.aborted) {
        // Asked to stop while the request was on its way: nobody shall wait for a lease that is not used.
        await release().catch(() => undefined);
        return "stopped";
      }
      isLeading = true;
      master.set({ name }, 1);
      log.info({ lease: name, identity }, "leading");
      const stopRenewing = new AbortController();
      const leading = AbortSignal.any([signal, lost.signal]);
      const kept = keep(stopRenewing.signal).then((held) => {
        if (!held) lost.abort(new Error("leadership was lost"));
        return held;
      });
      try {
        await lead(leading);
      } finally {
        // Renewed until the last write of `lead` is through, only then given up.
        stopRenewing.abort();
        await kept;
        isLeading = false;
        master.set({ name }, 0);
      }
      if (lost.signal.aborted) return "lost";
      await release().catch(() => undefined);
      return signal.aborted ? "stopped" : "lost";
    },
  };
}
