import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import type { CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

let gateway: Harness;
let cell: CellServer;
const sockets: Socket[] = [];
beforeEach(async () => {
  gateway = await startHarness({ cells: ["seoul"] });
  cell = gateway.cells[0] as CellServer;
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await gateway.close();
});

/** Asks for a WebSocket and gathers what comes back. */
async function open(path: string, token = true): Promise<{ socket: Socket; said: () => string }> {
  const socket = connect(gateway.port, "127.0.0.1").setEncoding("utf8");
  sockets.push(socket);
  let said = "";
  socket.on("data", (chunk: string) => {
    said += chunk;
  });
  socket.on("error", () => {});
  const { authorization } = await gateway.authorization();
  const query = token ? `?access_token=${authorization?.replace("Bearer ", "")}&since=1` : "";
  socket.write(
    `GET ${path}${query} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-cells-roles: root\r\n\r\n`,
  );
  return { socket, said: () => said };
}

const live = "/v1/centers/seoul/tracking/live";

/** A cell that takes the socket and sends back what it gets. */
function takeSockets(): { taken: Duplex[]; headers: NodeJS.Dict<string | string[]>[] } {
  const taken: Duplex[] = [];
  const headers: NodeJS.Dict<string | string[]>[] = [];
  cell.upgrade = (request, socket) => {
    taken.push(socket);
    headers.push(request.headers);
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.on("data", (chunk: Buffer) => socket.write(`echo ${chunk}`));
  };
  return { taken, headers };
}

it("passes bytes both ways; the user's token stays at the gateway", async () => {
  const { headers } = takeSockets();
  const { socket, said } = await open(live);
  await eventually(async () => said().includes("101 Switching Protocols"));
  socket.write("hello");
  await eventually(async () => said().endsWith("echo hello"));
  expect(cell.taken).toEqual(["UPGRADE /v1/live?since=1"]);
  expect(headers[0]).toMatchObject({ "x-cells-user": "sam", "x-cells-roles": "staff", upgrade: "websocket" });
});

it("ends the other end with either one", async () => {
  const { taken } = takeSockets();
  const first = await open(live);
  await eventually(async () => first.said().includes("101"));
  first.socket.destroy();
  await eventually(async () => taken[0]?.destroyed);

  const second = await open(live);
  await eventually(async () => second.said().includes("101"));
  taken[1]?.destroy();
  await eventually(async () => second.socket.destroyed);
});

it.each<[string, string, boolean, string]>([
  ["without a token", live, false, "401"],
  ["to a center that there is not", "/v1/centers/busan/tracking/live", true, "404"],
  ["to no slice", "/v1/centers/seoul/secrets/live", true, "404"],
])("refuses %s and closes", async (_name, path, token, status) => {
  const { socket, said } = await open(path, token);
  await eventually(async () => socket.destroyed);
  expect(said()).toMatch(new RegExp(`^HTTP/1.1 ${status}`));
  expect(cell.taken).toEqual([]);
});
