import type { KubeClient } from "../../platform/kube/client.ts";
import { type KubeLog, type KubeTime, silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { createOperator } from "../operator.ts";
import { SETTINGS } from "../testing/center.ts";
import type { Fault } from "./faults.ts";
import { createFaultyClient, type FaultyClient } from "./faultyclient.ts";
import { createChance } from "./lot.ts";

/** One life of the operator: a process with nothing in its memory. */
export interface Life {
  readonly faulty: FaultyClient;
  readonly isDead: () => boolean;
  end(): void;
}

export interface LifeOptions {
  readonly client: KubeClient;
  readonly time: KubeTime;
  /** Version of the cluster's state. */
  readonly version?: () => number;
  readonly fault: Fault;
  /** 1 for the first. */
  readonly number: number;
  /** Told when the fault ends this life. */
  readonly onDeath: () => void;
  /** Told what only a bug can cause: an error that was thrown. */
  readonly onError: (sentence: string) => void;
  /** Something wrong, put between the operator and the API server on purpose. */
  readonly plant?: (client: KubeClient) => KubeClient;
}

/** Few renewals: each is a call, and none of them is what is looked at here. */
const LEASE = { durationMs: 40_000, renewDeadlineMs: 30_000, retryMs: 13_000 };

export function startLife(options: LifeOptions): Life {
  const { time, number, plant } = options;
  const stop = new AbortController();
  const timers = new Set<() => void>();
  let dead = false;
  const own: KubeTime = {
    nowMs: time.nowMs,
    monotonicMs: time.monotonicMs,
    setTimer(delayMs, fire) {
      if (dead) return () => {};
      const cancel = time.setTimer(delayMs, () => {
        timers.delete(cancel);
        fire();
      });
      timers.add(cancel);
      return () => {
        timers.delete(cancel);
        cancel();
      };
    },
  };
  const end = () => {
    dead = true;
    for (const cancel of timers) cancel();
    timers.clear();
    // Only for the watches, which the API server closes when a process is gone.
    stop.abort();
  };
  const faulty = createFaultyClient({
    base: options.client,
    fault: options.fault,
    time: own,
    ...(options.version === undefined ? {} : { version: options.version }),
    die() {
      end();
      options.onDeath();
    },
  });
  const log: KubeLog = {
    ...silentLog,
    error: (fields, message) => options.onError(`${message}: ${fields.error ?? ""} ${fields.stack ?? ""}`),
  };
  const operator = createOperator({
    config: { client: faulty.client },
    settings: SETTINGS,
    log,
    metrics: silentMetrics,
    identity: `operator-${number}`,
    time: own,
    chance: createChance(number),
    lease: LEASE,
    ...(plant === undefined ? {} : { wrapClient: plant }),
  });
  operator.run(stop.signal).then(
    (outcome) => {
      if (!dead) options.onError(`the operator ended by itself: ${outcome}`);
    },
    (error: Error) => {
      if (!dead) options.onError(`the operator fell over: ${error.stack}`);
    },
  );
  return { faulty, isDead: () => dead, end };
}
