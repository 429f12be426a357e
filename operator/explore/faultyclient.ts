import type { KubeClient } from "../../platform/kube/client.ts";
import type { KubeResult } from "../../platform/kube/failures.ts";
import type { KubeTime } from "../../platform/kube/ports.ts";
import { createStream } from "../../platform/kube/testing/memoryclient.ts";
import { type Fault, HOLD_MS, isCrash, LAPSE_MS } from "./faults.ts";

/** One call of an operator, in the order in which it was made. */
export interface Call {
  readonly verb: string;
  readonly target: string;
  /** When it was made, and what the operator had been shown until then: two calls of one moment see the same cluster. */
  readonly moment: string;
  /** The same for the moment after it, before its answer is read. */
  readonly after: string;
}

export interface FaultyClient {
  readonly client: KubeClient;
  readonly calls: readonly Call[];
  /** Whether the fault has begun. */
  readonly struck: boolean;
  /** Whether watches are held back at this moment. */
  readonly holds: boolean;
}

const VERBS = [
  "get",
  "list",
  "listAll",
  "create",
  "apply",
  "updateStatus",
  "update",
  "patch",
  "remove",
] as const;
const EXPIRED = `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } })}\n`;
/** The answer to a dead process. */
const never = <T>() => new Promise<T>(() => {});

/**
 * A client to which the fault happens. `die` is told when it kills its process; from then on no call reaches the API
 * server and none is answered. Calls that `concerns` does not name neither count nor suffer.
 */
export function createFaultyClient(options: {
  readonly base: KubeClient;
  readonly fault: Fault;
  readonly time: KubeTime;
  readonly die: () => void;
  readonly concerns?: (target: string) => boolean;
  /** Version of the cluster's state, where it can be told. */
  readonly version?: () => number;
}): FaultyClient {
  const { base, fault, time, die, concerns = () => true, version = () => 0 } = options;
  const calls: Call[] = [];
  let framesShown = 0;
  const gates = new Set<{ open(): void }>();
  const state = { dead: false, struck: fault.kind === "past", holds: fault.kind === "past", lapsed: false };

  const momentNow = () => `${time.monotonicMs()} ${version()} ${framesShown}`;
  function release(): void {
    state.holds = false;
    for (const gate of gates) gate.open();
  }
  if (state.holds) time.setTimer(HOLD_MS, release);

  async function call<T>(verb: string, target: string, send: () => Promise<T>): Promise<T> {
    if (state.dead) return never();
    if (!concerns(target)) return send();
    const moment = momentNow();
    const index = calls.push({ verb, target, moment, after: moment }) - 1;
    if (!("at" in fault) || index !== fault.at) {
      const answer = send();
      calls[index] = { verb, target, moment, after: momentNow() };
      return answer;
    }
    state.struck = true;
    if (fault.kind === "lapse") {
      state.lapsed = true;
      time.setTimer(LAPSE_MS, () => {
        state.lapsed = false;
      });
      return send();
    }
    if (!isCrash(fault)) {
      state.holds = true;
      time.setTimer(HOLD_MS, release);
      return send();
    }
    state.dead = true;
    // Sent before anything of the process can run again; its answer is lost.
    if (fault.kind === "crash-after") void send();
    die();
    return never();
  }

  /** Passes frames on, and keeps them while watches are held back. */
  function gated(kind: string, frames: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const stream = createStream();
    const concerned = !("of" in fault) || fault.of === undefined || fault.of === kind;
    let kept: Uint8Array[] = [];
    const gate = {
      open() {
        if (fault.kind === "gap" && kept.length > 0) stream.push(new TextEncoder().encode(EXPIRED));
        else for (const frame of kept) stream.push(frame);
        kept = [];
      },
    };
    gates.add(gate);
    void (async () => {
      try {
        for await (const frame of frames) {
          if (state.holds && concerned) kept.push(frame);
          else {
            framesShown++;
            stream.push(frame);
          }
        }
      } finally {
        gates.delete(gate);
        stream.end();
      }
    })().catch(() => undefined);
    return stream.frames;
  }

  function around(client: KubeClient): KubeClient {
    const wrapped = Object.fromEntries(
      VERBS.map((verb) => {
        const method = client[verb] as (ref: { kind: string }, ...rest: unknown[]) => Promise<unknown>;
        return [
          verb,
          (ref: { kind: string }, ...rest: unknown[]) =>
            call(verb, targetOf(ref.kind, rest[0]), () => method.call(client, ref, ...rest)),
        ];
      }),
    ) as unknown as Pick<KubeClient, (typeof VERBS)[number]>;
    return {
      ...client,
      ...wrapped,
      watch: async (ref, asked) => {
        const opened = await call<KubeResult<AsyncIterable<Uint8Array>>>("watch", ref.kind, () =>
          client.watch(ref, asked),
        );
        return opened.ok ? { ok: true, value: gated(ref.kind, opened.value) } : opened;
      },
      guardedBy: (guard) =>
        around(client.guardedBy({ ...guard, valid: () => !state.lapsed && guard.valid() })),
    };
  }
  return {
    client: around(base),
    calls,
    get struck() {
      return state.struck;
    },
    get holds() {
      return state.holds;
    },
  };
}

function targetOf(kind: string, first: unknown): string {
  const { metadata, name, namespace } = (first ?? {}) as {
    metadata?: { name?: string; namespace?: string };
    name?: string;
    namespace?: string;
  };
  const named = metadata ?? { name, namespace };
  return named.name === undefined
    ? kind
    : [named.namespace, `${kind}/${named.name}`].filter(Boolean).join(" ");
}
