import type { ServerResponse } from "node:http";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Positions } from "./positions.ts";
import type { TrackingService, Viewer } from "./service.ts";

const HEARTBEAT_MS = 15_000;
/** Not every fix is worth a frame. */
const MIN_GAP_MS = 500;
const MAX_STREAMS = 1_000;
/** A viewer who does not read is let go, before what waits for them fills the memory. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** Sends what a viewer sees as server-sent events (WHATWG HTML, section 9.2), at most two a second, until it ends or the viewer goes. */
export function createStreams(deps: { service: TrackingService; positions: Positions }) {
  const { service, positions } = deps;
  const open = new Set<() => void>();

  return {
    size: () => open.size,
    async run(orderId: string, viewer: Viewer, response: ServerResponse): Promise<Failure | undefined> {
      if (open.size >= MAX_STREAMS)
        return fail("overloaded", "Too many streams are open here; poll instead.");
      const first = await service.look(orderId, viewer);
      if (!first.ok) return first;
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      await new Promise<void>((resolve) => {
        let watched: string | undefined;
        let unwatch = () => {};
        let unwatchOrder = () => {};
        let pending: NodeJS.Timeout | undefined;
        const end = () => {
          open.delete(end);
          unwatch();
          unwatchOrder();
          clearTimeout(pending);
          clearInterval(heartbeat);
          response.end();
          resolve();
        };
        const show = (seen: typeof first) => {
          response.write(`event: position\ndata: ${JSON.stringify(seen.answer)}\n\n`);
          if (seen.answer.status === "delivered" || seen.answer.status === "cancelled") return end();
          if (response.writableLength > MAX_UNREAD_BYTES) return end();
          if (seen.courierId === watched) return;
          unwatch();
          watched = seen.courierId;
          unwatch = watched === undefined ? () => {} : positions.watch(watched, refresh);
        };
        const refresh = () => {
          pending ??= setTimeout(async () => {
            pending = undefined;
            const seen = await service.look(orderId, viewer).catch(() => undefined);
            if (open.has(end) && seen?.ok) show(seen);
          }, MIN_GAP_MS);
        };
        const heartbeat = setInterval(() => {
          response.write(": still here\n\n");
          // What was told while Redis was away is seen at the next beat.
          refresh();
        }, HEARTBEAT_MS);
        open.add(end);
        unwatchOrder = positions.watch(orderId, refresh);
        response.on("close", end);
        show(first);
      });
      return undefined;
    },
    close() {
      for (const end of [...open]) end();
    },
  };
}

export type Streams = ReturnType<typeof createStreams>;
