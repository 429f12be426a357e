import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseIsolationResult } from "../operator/api/isolation-result.ts";
import { knock } from "../platform/knock.ts";
import { isolationCommand, probeIsolation } from "./isolation.ts";

const PATIENCE = { connectMs: 300, pauseMs: 20, tries: 3, controlTries: 3 };
const dir = mkdtempSync(join(tmpdir(), "isolation-"));
let server: Server;
let port: number;
let closedPort: number;

beforeAll(async () => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  closedPort = (gone.address() as AddressInfo).port;
  gone.close();
  server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const local = (kind: "control" | "egress" | "ingress" | "cells") => ({ kind, host: "127.0.0.1", port });

it("tells a connection, a closed port and an unknown name apart", async () => {
  expect(await knock({ host: "127.0.0.1", port }, 2_000)).toBe("connected");
  expect(await knock({ host: "127.0.0.1", port: closedPort }, 2_000)).toBe("refused");
  expect(await knock({ host: "no-such-name.invalid", port: 1 }, 20_000)).toBe("unresolved");
});

it("waits for the control, and says nothing of the rest before it has answered", async () => {
  const late = createServer((socket) => socket.end());
  const control = { kind: "control" as const, host: "127.0.0.1", port: closedPort };
  const silent = await probeIsolation([control, local("cells")], PATIENCE);
  expect(silent).toMatchObject({ isolation: "Inconclusive", denied: 0, reached: [] });
  setTimeout(() => late.listen(closedPort, "127.0.0.1"), 100);
  const report = await probeIsolation([control, local("cells")], {
    ...PATIENCE,
    pauseMs: 50,
    controlTries: 100,
  });
  late.close();
  expect(report.reached).toEqual([`127.0.0.1:${port}`]);
});

it("leaves words that the operator reads, and asks to be repeated when it could not tell", async () => {
  const log = join(dir, "termination-log");
  const words = [`control:127.0.0.1:${port}`, `egress:127.0.0.1:${port}`, `ingress:127.0.0.1:${port}`];
  expect(await isolationCommand(words, log)).toBe(0);
  expect(parseIsolationResult(readFileSync(log, "utf8"))).toEqual({
    ...{ isolation: "NotEnforced", denied: 0, cells: 0, unclear: [] },
    reached: [`127.0.0.1:${port}`, `127.0.0.1:${port}`],
  });
  expect(await isolationCommand([words[0] ?? "", `cells:127.0.0.1:${closedPort}`], log)).toBe(1);
  expect(parseIsolationResult(readFileSync(log, "utf8"))).toMatchObject({
    ...{ isolation: "Inconclusive", unclear: [`127.0.0.1:${closedPort}`] },
  });
});
