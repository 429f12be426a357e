import { request as httpRequest, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Failure, fail, PROBLEMS, toProblem } from "../../platform/problem.ts";
import { isSliceName } from "../../platform/slices.ts";
import { cellHeaders, FORWARD_TIMEOUT_MS } from "./answers.ts";
import type { GatewayDeps } from "./deps.ts";
import { destinationOf } from "./domain.ts";
import { centerMissing, mayEnter } from "./entry.ts";

const MAX_UPGRADED = 2_048;
/** Of one cell, so that a cell that holds its sockets leaves some for the others. */
const MAX_UPGRADED_OF_CELL = 512;
const IDLE_MS = 120_000;

export type UpgradeRelay = (request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>;

/**
 * Relays WebSockets to the slice that their path names. Browsers cannot set headers on a WebSocket, so the
 * token may also come as `?access_token=`; it is taken off before the path goes on.
 */
export function createUpgradeRelay(deps: GatewayDeps): UpgradeRelay {
  let open = 0;
  const openOf = new Map<string, number>();

  /** Counts a socket until it closes, also while the cell has not answered yet. */
  function take(center: string, socket: Duplex): boolean {
    const here = openOf.get(center) ?? 0;
    if (open >= MAX_UPGRADED || here >= MAX_UPGRADED_OF_CELL) return false;
    open++;
    openOf.set(center, here + 1);
    socket.once("close", () => {
      open--;
      const left = (openOf.get(center) ?? 1) - 1;
      if (left > 0) openOf.set(center, left);
      else openOf.delete(center);
    });
    return true;
  }

  return async (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const url = new URL(request.url ?? "/", "http://gateway");
    const destination = destinationOf("GET", url.pathname, isSliceName);
    if (destination.kind !== "cell")
      return refuse(socket, fail("not-found", "Nothing to connect to at this path."));
    const inQuery = url.searchParams.get("access_token");
    url.searchParams.delete("access_token");
    const verified = await deps.users.verify(
      request.headers.authorization ?? (inQuery ? `Bearer ${inQuery}` : undefined),
    );
    const allowed = verified.ok ? mayEnter(verified.user, destination) : verified;
    if (!allowed.ok) return refuse(socket, allowed);
    const found = deps.fleet.cell(destination.center);
    const address = found?.entry.services[destination.slice];
    if (!found || !address) return refuse(socket, centerMissing(deps.fleet, destination.center));
    const token = await deps.signer.token(destination.center);
    if (socket.destroyed) return;
    if (!take(destination.center, socket))
      return refuse(socket, fail("overloaded", "Too many live connections; try again.", undefined, 5));

    const outbound = httpRequest({
      host: address.ip ?? address.host,
      port: address.port,
      path: destination.path + url.search,
      headers: {
        ...cellHeaders(request, allowed.user),
        authorization: `Bearer ${token}`,
        connection: "Upgrade",
        upgrade: "websocket",
      },
      timeout: FORWARD_TIMEOUT_MS,
    });
    outbound.on("upgrade", (answer, inner, innerHead) => {
      join(socket, inner);
      socket.write(headOf(answer));
      if (innerHead.length > 0) socket.write(innerHead);
      if (head.length > 0) inner.write(head);
    });
    outbound.on("response", (answer) => {
      socket.write(headOf(answer));
      answer.pipe(socket);
    });
    socket.once("close", () => outbound.destroy());
    outbound.on("timeout", () => outbound.destroy(new Error("no answer in time")));
    outbound.on("error", () =>
      refuse(socket, fail("cell-unavailable", `The center ${destination.center} cannot be reached now.`)),
    );
    outbound.end();
  };
}

function join(client: Duplex, cell: Socket): void {
  cell.setTimeout(IDLE_MS, () => cell.destroy());
  cell.on("error", () => client.destroy());
  client.on("close", () => cell.destroy());
  cell.once("close", () => client.destroy());
  client.pipe(cell).pipe(client);
}

function headOf(answer: IncomingMessage): string {
  const status = answer.statusCode ?? 502;
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2)
    lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function refuse(socket: Duplex, failure: Failure): void {
  const { status } = PROBLEMS[failure.code];
  const body = JSON.stringify(toProblem(failure, "websocket"));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
