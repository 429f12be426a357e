import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { publicHalf } from "../../../platform/credentials.ts";
import { SLICE_NAMES } from "../../../platform/slices.ts";
import { createVerifier, generateKey, type PrivateKey } from "../../../platform/trust.ts";
import type { TableCell } from "../domain.ts";
import { cellNamed } from "./tables.ts";

export type CellHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** A cell whose answers are scripted. It believes the gateway's tokens for itself alone, as the slices do. */
export interface CellServer {
  readonly entry: TableCell;
  readonly port: number;
  /** Answers what is not a probe; may be changed at any time. */
  answer: CellHandler;
  /** Takes WebSockets and the like; refused with 404 unless set. */
  upgrade: (request: IncomingMessage, socket: Duplex) => void;
  /** Requests taken so far, probes aside. */
  readonly taken: readonly string[];
  close(): Promise<void>;
}

export const answerJson = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};

/** Starts a cell on the loopback that covers the middle of Seoul. */
export async function startCellServer(name: string, ...gatewayKeys: PrivateKey[]): Promise<CellServer> {
  const verifier = createVerifier({ keys: { keys: gatewayKeys.map(publicHalf) }, audience: name });
  const { publicJwk } = await generateKey();
  const taken: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
      const caller = await verifier.verify(token);
      if (caller?.issuer !== "gateway") return answerJson(response, 401, { code: "unauthenticated" });
      if (request.url === "/internal/summary")
        return answerJson(response, 200, { accepting: true, queueMinutes: 0, skus: [] });
      taken.push(`${request.method} ${request.url}`);
      await cell.answer(request, response);
    })();
  });
  server.on("upgrade", (request, socket) => {
    taken.push(`UPGRADE ${request.url}`);
    // A server's sockets stay half open after the other end has gone, and would keep this server from closing.
    socket.on("end", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    cell.upgrade(request, socket);
  });
  const port = await listen(server);
  const address = { host: "127.0.0.1", ip: "127.0.0.1", port };
  const cell = {
    entry: cellNamed(name, {
      services: Object.fromEntries(SLICE_NAMES.map((slice) => [slice, address])),
      publicKey: JSON.stringify(publicJwk),
    }),
    port,
    answer: ((_request, response) => answerJson(response, 200, { cell: name })) as CellHandler,
    upgrade: ((_request, socket) =>
      void socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n")) as CellServer["upgrade"],
    taken,
    close: () => closeNow(server),
  };
  return cell;
}

/** Listens on a free port of the loopback. */
export async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

export function closeNow(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
