import type { KubeClient } from "../../platform/kube/client.ts";
import { createLineSplitter } from "../../platform/kube/lines.ts";
import { createStream } from "../../platform/kube/testing/memoryclient.ts";
import { type Fault, isCrash } from "./faults.ts";

/** A client that many centers share, to which one fault happens for each of some of them. */
export interface MarkedClient {
  readonly client: KubeClient;
  /** From now on writes about what carries the mark are counted, and its fault waits for its number. */
  arm(mark: string, fault: Fault): void;
  /** Writes about the mark since it was armed. */
  writes(mark: string): number;
  /** Marks whose fault has begun. */
  readonly struck: ReadonlySet<string>;
  /** Marks for which the operator is dead: nothing about them reaches the API server any more. */
  readonly dead: ReadonlySet<string>;
}

const WRITES = ["create", "apply", "updateStatus", "update", "patch", "remove"] as const;
const DEAD = { ok: false, code: "aborted", message: "the process is dead" } as const;
const EXPIRED = `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } })}\n`;

/** `holdMs` is how long watches tell nothing about a center with a stale view. */
export function createMarkedClient(base: KubeClient, holdMs: number): MarkedClient {
  const armed = new Map<string, { fault: Fault; writes: number }>();
  const dead = new Set<string>();
  const struck = new Set<string>();
  const held = new Map<string, Fault>();
  const streams = new Set<{ release(mark: string, fault: Fault): void }>();

  function hold(mark: string, fault: Fault): void {
    held.set(mark, fault);
    setTimeout(() => {
      held.delete(mark);
      for (const stream of streams) stream.release(mark, fault);
    }, holdMs).unref();
  }

  async function write(target: string, send: () => Promise<unknown>): Promise<unknown> {
    const mark = [...armed.keys()].find((each) => target.includes(each));
    const own = mark === undefined ? undefined : armed.get(mark);
    if (mark === undefined || own === undefined) return send();
    if (dead.has(mark)) return DEAD;
    const index = own.writes++;
    const { fault } = own;
    if (!("at" in fault) || index !== fault.at) return send();
    struck.add(mark);
    if (!isCrash(fault)) {
      hold(mark, fault);
      return send();
    }
    dead.add(mark);
    if (fault.kind === "crash-after") await send();
    return DEAD;
  }

  /** Passes lines on, and keeps those about a center that is held back. */
  function gated(frames: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const stream = createStream();
    const kept = new Map<string, string[]>();
    const encode = (text: string) => new TextEncoder().encode(text);
    const gate = {
      release(mark: string, fault: Fault) {
        const lines = kept.get(mark) ?? [];
        kept.delete(mark);
        if (lines.length === 0) return;
        if (fault.kind === "gap") stream.push(encode(EXPIRED));
        else stream.push(encode(`${lines.join("\n")}\n`));
      },
    };
    streams.add(gate);
    void (async () => {
      const split = createLineSplitter();
      for await (const chunk of frames)
        for (const line of split(chunk)) {
          const mark = [...held.keys()].find((each) => line.includes(each));
          if (mark === undefined) stream.push(encode(`${line}\n`));
          else kept.set(mark, [...(kept.get(mark) ?? []), line]);
        }
    })()
      .catch(() => undefined)
      .finally(() => {
        streams.delete(gate);
        stream.end();
      });
    return stream.frames;
  }

  function around(client: KubeClient): KubeClient {
    const wrapped = Object.fromEntries(
      WRITES.map((verb) => {
        const method = client[verb] as (...all: unknown[]) => Promise<unknown>;
        return [
          verb,
          (ref: { kind: string }, ...rest: unknown[]) => {
            const send = () => method.call(client, ref, ...rest);
            return ref.kind === "Event" ? send() : write(nameOf(rest[0]), send);
          },
        ];
      }),
    );
    return {
      ...client,
      ...(wrapped as unknown as Pick<KubeClient, (typeof WRITES)[number]>),
      watch: async (ref, asked) => {
        const opened = await client.watch(ref, asked);
        return opened.ok ? { ok: true, value: gated(opened.value) } : opened;
      },
      guardedBy: (guard) => around(client.guardedBy(guard)),
    };
  }
  return {
    client: around(base),
    arm: (mark, fault) => void armed.set(mark, { fault, writes: 0 }),
    writes: (mark) => armed.get(mark)?.writes ?? 0,
    struck,
    dead,
  };
}

function nameOf(first: unknown): string {
  const { metadata, name, namespace } = (first ?? {}) as {
    metadata?: { name?: string; namespace?: string };
    name?: string;
    namespace?: string;
  };
  const named = metadata ?? { name, namespace };
  return `${named.namespace ?? ""} ${named.name ?? ""}`;
}
