import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCluster } from "./cluster.ts";
import { run, tryRun } from "./command.ts";
import { stopCluster } from "./down.ts";
import { layoutOf } from "./layout.ts";
import { silentReport } from "./report.ts";
import { readState } from "./state.ts";
import { clusterStatus, knownIndexes } from "./status.ts";
import { ask, deployProbe, eventually, machineTraces, probeImage } from "./testing.ts";

const INDEX = 3;
const OTHER = 4;
const report = silentReport();
const main = fileURLToPath(new URL("../main.ts", import.meta.url));

beforeAll(() => Promise.all([stopCluster(INDEX), stopCluster(OTHER)]));
afterAll(() => Promise.all([stopCluster(INDEX), stopCluster(OTHER)]));

it("leaves no process, mount, device, address, route, rule, group or folder behind", async () => {
  const probe = await probeImage(report);
  const before = await machineTraces(INDEX);
  const cluster = await startCluster({ index: INDEX, report, images: [probe.archive] });
  await deployProbe(cluster, probe.ref);
  await ask(cluster, "/lookup?name=probe");
  await ask(cluster, "/files/note", { method: "PUT", body: "x" });
  const during = await machineTraces(INDEX);
  expect(during.processes?.length).toBeGreaterThan(10);
  expect(during.devices).not.toEqual(before.devices);
  expect(during.groups).not.toEqual([]);

  await run([process.execPath, main, "down", "--index", String(INDEX)]);
  // The processes are killed; the kernel takes the last mounts and devices away in its own time.
  await eventually(async () => expect(await machineTraces(INDEX)).toEqual(before));
  expect(knownIndexes()).not.toContain(INDEX);
});

it("removes nothing of a cluster beside it", async () => {
  const probe = await probeImage(report);
  const kept = await startCluster({ index: OTHER, report, images: [probe.archive] });
  await startCluster({ index: INDEX, report });
  await deployProbe(kept, probe.ref);
  await stopCluster(INDEX);
  expect((await clusterStatus(OTHER)).state).toBe("ready");
  expect(await ask(kept, "/lookup?name=probe")).toMatch(/^198\.19\./);
  await stopCluster(OTHER);
});

it("finds and removes what a start that was killed has left", async () => {
  const child = spawn(process.execPath, [main, "up", "--index", String(INDEX)], { stdio: "ignore" });
  const ended = once(child, "exit");
  await eventually(async () => {
    const names = (readState(layoutOf(INDEX).stateFile)?.processes ?? []).map((record) => record.name);
    expect(names).toContain("kube-apiserver");
  });
  child.kill("SIGKILL");
  await ended;
  expect((await clusterStatus(INDEX)).state).not.toBe("ready");
  const orphans = readState(layoutOf(INDEX).stateFile)?.processes.map((record) => record.pid) ?? [];
  const cluster = await startCluster({ index: INDEX, report });
  expect(cluster.attached).toBe(false);
  const now = readState(layoutOf(INDEX).stateFile)?.processes.map((record) => record.pid) ?? [];
  expect(now.filter((pid) => orphans.includes(pid))).toEqual([]);
  expect((await clusterStatus(INDEX)).state).toBe("ready");
  await stopCluster(INDEX);
});

it("removes what it had started when it is interrupted", async () => {
  const before = await machineTraces(INDEX);
  const child = spawn(process.execPath, [main, "up", "--index", String(INDEX)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words += chunk.toString();
  });
  const ended = once(child, "close");
  await eventually(async () => {
    const names = (readState(layoutOf(INDEX).stateFile)?.processes ?? []).map((record) => record.name);
    expect(names).toContain("containerd");
  });
  child.kill("SIGTERM");
  expect((await ended)[0]).toBe(1);
  expect(words).toContain("Interrupted");
  await stopCluster(INDEX);
  await eventually(async () => expect(await machineTraces(INDEX)).toEqual(before));
});

it("says in one sentence who has the address, and leaves that alone", async () => {
  const { hostDevice, nodeAddress } = layoutOf(INDEX);
  await run(["ip", "link", "add", "other0", "type", "bridge"]);
  try {
    await run(["ip", "address", "add", `${nodeAddress}/32`, "dev", "other0"]);
    const result = await tryRun([process.execPath, main, "up", "--index", String(INDEX)]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(`The address ${nodeAddress} is in use on device other0`);
    expect((await machineTraces(INDEX)).processes).toEqual([]);
    expect((await machineTraces(INDEX)).devices).toContain("other0");
    expect((await machineTraces(INDEX)).devices).not.toContain(hostDevice);
  } finally {
    await run(["ip", "link", "delete", "other0"]);
  }
});

it("is harmless where nothing runs", async () => {
  const server = createServer((_request, response) => response.end("still here"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const before = await machineTraces(INDEX);
  await stopCluster(INDEX);
  expect(await machineTraces(INDEX)).toEqual(before);
  server.close();
});
