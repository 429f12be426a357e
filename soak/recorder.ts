import { openSync, writeSync } from "node:fs";
import type { ServiceClient } from "../platform/fetch.ts";
import type { SliceContext, SliceDefinition } from "../platform/slice.ts";
import type { Line } from "./check/history.ts";
import { monotonicMs } from "./time.ts";

/** Writes lines to a file at once: what was written before a process is killed is there afterwards. */
export function createRecorder(
  file: string,
  process: string,
): (line: Omit<Line, "process" | "atMs">) => void {
  const handle = openSync(file, "a");
  return (line) =>
    void writeSync(handle, `${JSON.stringify({ process, atMs: monotonicMs(), ...line } satisfies Line)}\n`);
}

type Record = ReturnType<typeof createRecorder>;

/** Which calls to inventory are of interest: what they are called, and under which key they are the same. */
function known(path: string, body: unknown): { call: string; key: string; value: unknown } | undefined {
  const about = (body ?? {}) as { holdId?: string; releaseId?: string; lines?: unknown };
  if (path === "/internal/holds") return { call: "hold", key: about.holdId ?? "", value: about.lines };
  if (path === "/internal/allocations")
    return { call: "allocate", key: about.holdId ?? "", value: about.lines };
  const [, kind, id] = /^\/internal\/(holds|allocations)\/([^/]+)\/release$/.exec(path) ?? [];
  if (kind === "holds" && id) return { call: "release-hold", key: decodeURIComponent(id), value: undefined };
  if (kind === "allocations" && id) {
    const holdId = decodeURIComponent(id);
    return { call: "release", key: about.releaseId ?? holdId, value: { holdId } };
  }
  return undefined;
}

/** The slice with every call to inventory written down: when it was sent, and when its answer came. */
export function recorded(slice: SliceDefinition, record: Record): SliceDefinition {
  return {
    ...slice,
    build: (context: SliceContext) =>
      slice.build({
        ...context,
        clients: { ...context.clients, inventory: recordedClient(context.clients.inventory, record) },
      }),
  };
}

function recordedClient(client: ServiceClient, record: Record): ServiceClient {
  return {
    close: () => client.close(),
    async call<T>(call: Parameters<ServiceClient["call"]>[0]) {
      const about = known(call.path, call.body);
      if (!about) return client.call<T>(call as Parameters<typeof client.call<T>>[0]);
      record({ what: "asked", ...about });
      const answer = await client.call<T>(call as Parameters<typeof client.call<T>>[0]);
      const { call: name, key } = about;
      if (answer.ok) record({ what: "answered", call: name, key, value: shortOf(name, answer.body) });
      else if (answer.code !== "unavailable")
        record({ what: "refused", call: name, key, value: answer.code });
      return answer;
    },
  };
}

/** Of a hold's answer, which generation granted it and until when; the rest is not needed. */
function shortOf(call: string, body: unknown): unknown {
  if (call !== "hold") return undefined;
  const { generation, expiresAt } = body as { generation?: string; expiresAt?: string };
  return { generation, expiresAt };
}
