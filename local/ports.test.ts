import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { freePorts } from "./ports.ts";

test("gives different ports, also to the next caller", async () => {
  const both = [...(await freePorts(20)), ...(await freePorts(20))];
  expect(new Set(both).size).toBe(40);
});

test("gives none that the kernel hands to whoever asks for any port", async () => {
  const [low = 0, high = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .split(/\s+/)
    .map(Number);
  const ports = await freePorts(20);
  expect(ports.filter((port) => port >= low && port <= high)).toEqual([]);
});

test("passes over a port on which somebody listens", async () => {
  const [before = 0] = await freePorts(1);
  const server = createServer().listen(before + 1, "127.0.0.1");
  await once(server, "listening");
  const [after = 0] = await freePorts(1);
  server.close();
  expect(after).toBeGreaterThan(before + 1);
});
