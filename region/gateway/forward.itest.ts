import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createCellPool } from "./forward.ts";

/** Idle connections are to be let go after one second: what a cell asks for, less the second that its clients take off. */
const KEEP_ALIVE_MS = 2_000;
const SLOW_MS = 2_500;

let server: Server;
afterEach(() => void server.close());

async function startCell(): Promise<number> {
  server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    setTimeout(() => response.end(request.url), request.url === "/slow" ? SLOW_MS : 0);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("a slow answer on a connection that was kept alive is waited for", async () => {
  const address = { host: "127.0.0.1", port: await startCell() };
  const pool = createCellPool({ maxInFlight: 1 });
  const get = (path: string) =>
    pool.exchange({ address, method: "GET", path, headers: {}, timeoutMs: 10_000 });
  let connections = 0;
  server.on("connection", () => connections++);
  expect(await get("/quick")).toMatchObject({ kind: "answered", status: 200 });
  expect(await get("/slow")).toMatchObject({ kind: "answered", status: 200 });
  expect(connections).toBe(1);
  pool.close();
});
