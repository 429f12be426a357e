import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePorts } from "../ports.ts";
import { type Running, startProcess, untilReady } from "./processes.ts";

let dir: string;
let running: Running | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "processes-"));
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(dir, { recursive: true, force: true });
});

const start = (script: string) => {
  running = startProcess({ name: "shop", root: dir, dir, args: ["-e", script], env: {} });
  return running;
};

test("a process is ready when its address answers", async () => {
  const [port = 0] = await freePorts(1);
  const shop = start(`require("node:http").createServer((q, r) => r.end()).listen(${port}, "127.0.0.1")`);
  await untilReady([shop], [`http://127.0.0.1:${port}/`], 30_000);
  await shop.crash();
  expect(await shop.ended).toBe("SIGKILL");
});

test("one whose port is taken is given up at once, with what it said", async () => {
  const taker = createServer((_request, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => taker.listen(0, "127.0.0.1", resolve));
  const { port } = taker.address() as { port: number };
  const shop = start(`require("node:http").createServer().listen(${port}, "127.0.0.1")`);
  await expect(untilReady([shop], [`http://127.0.0.1:${port}/`], 600_000)).rejects.toThrow(
    /shop ended before it was ready; last lines of .*shop\.log:[\s\S]*EADDRINUSE/,
  );
  taker.close();
});

test("one that never answers is given up when the time is over, with what it said", async () => {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}/`;
  const shop = start(`console.log("waiting for a friend"); setInterval(() => {}, 1000)`);
  await expect(untilReady([shop], [url], 2_000)).rejects.toThrow(
    /is not ready after 2 s; last lines of .*shop\.log:\nwaiting for a friend/,
  );
});
