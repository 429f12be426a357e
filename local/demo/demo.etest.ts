import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ensureBinaries } from "../cluster/binaries.ts";
import { stopCluster } from "../cluster/down.ts";
import { layoutOf, toolEnv } from "../cluster/layout.ts";
import { silentReport } from "../cluster/report.ts";
import { createApi } from "./api.ts";
import { centerOf } from "./centers.ts";
import { getObject } from "./install.ts";
import { kubernetesWorld } from "./kubernetes.ts";
import { loadStock } from "./load.ts";
import { ordersPerKey, type Released, tagAgain, upgradeUnderLoad } from "./upgrade.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** The tests' own cluster: the demo's may be up beside it. */
const INDEX = 1;
const ORDERS = 8;
/** Seven Deployments one after the other, each of which drains, on a machine that does other things too. */
const ROLLOUT_TIMEOUT_MS = 300_000;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "demo-"));
});
afterAll(async () => {
  await stopCluster(INDEX);
  await rm(dir, { recursive: true, force: true });
});

function demo(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(ROOT, "local", "demo", "main.ts"), ...args], { cwd: ROOT });
    let output = "";
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-20_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Command lines of processes that have `text` in them; a demo's folder is in those of its stores and services. */
async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [words, folder] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
      readlink(`/proc/${pid}/cwd`).catch(() => ""),
    ]);
    if (words.includes(text) || folder.includes(text)) found.push(words.replaceAll("\0", " "));
  }
  return found;
}

it("delivers every order, loses none while a cell is dead, and finds the books right", async () => {
  const file = join(dir, "out.json");
  const ended = await demo("--index", String(INDEX), "--orders", String(ORDERS), "--json", file);
  expect(ended.code, ended.output).toBe(0);
  const facts = JSON.parse(await readFile(file, "utf8"));
  expect(facts).toMatchObject({
    cells: 2,
    orders: { placed: ORDERS + 2, delivered: ORDERS, rejected: 1, cancelled: 1, paymentFailed: 1 },
    drill: { otherCellErrors: 0, otherCellRetries: 0, acceptedLost: 0 },
    oversold: 0,
    duplicateOrders: 0,
    complaints: [],
  });
  expect(facts.captures.count).toBe(facts.captures.distinctOrders);
  expect(facts.captures.count).toBe(ORDERS + facts.drill.orders.delivered);
  expect(facts.drill.rerouted).toBeGreaterThan(0);
  expect(facts.readySeconds).toHaveLength(2);
});

it.each([
  // In this direction the other center delivers no more.
  ["seoul-mapo", "Compact", 180],
  ["seoul-gangnam", "Separate", 0],
])(
  "rolls a release out over %s (%s): of 20 requests a second without retries none fails",
  async (name, topology, degrees) => {
    const layout = layoutOf(INDEX);
    const { kubectl, helm } = await ensureBinaries(silentReport());
    const target = { kubectl, helm, env: toolEnv(layout), root: ROOT, nodeAddress: layout.nodeAddress };
    const object = await getObject<Released>(target, ["fc", name]);
    const center = centerOf(object);
    expect(center.topology).toBe(topology);
    const gatewayUrl = `http://${layout.nodeAddress}:30080`;
    const api = createApi({ gatewayUrl, issuerUrl: `http://${layout.nodeAddress}:30091` });
    const skus = await loadStock(api, ROOT, center);
    const image = await tagAgain(INDEX, object.status?.release?.current ?? "", "again");
    const options = { target, api, center, skus, image, degrees, perSecond: 20, timeoutMs: 240_000 };
    const count = await upgradeUnderLoad({ ...options, note: (text) => console.log(text) });
    console.log(`${name}: ${count.sent} sent, ${JSON.stringify(Object.fromEntries(count.answers))}`);
    expect(count.failures).toEqual([]);
    expect(count.sent).toBeGreaterThan(200);
    expect(count.accepted.length).toBeGreaterThan(50);
    const perKey = await ordersPerKey(kubernetesWorld(target), name, count.accepted);
    expect(perKey.size).toBe(count.accepted.length);
    expect([...perKey].filter(([, orders]) => orders !== 1)).toEqual([]);
  },
  ROLLOUT_TIMEOUT_MS,
);

it("shows the same without Kubernetes, says what is missing, and leaves no process", async () => {
  const file = join(dir, "processes.json");
  const ended = await demo("--without-kubernetes", "--orders", "4", "--json", file);
  expect(ended.code, ended.output).toBe(0);
  expect(ended.output).toContain("Not shown without Kubernetes: the operator");
  expect(ended.output).toContain("Nothing is left running.");
  const facts = JSON.parse(await readFile(file, "utf8"));
  expect(facts).toMatchObject({
    cells: 2,
    orders: { placed: 6, delivered: 4, rejected: 1, cancelled: 1, paymentFailed: 1 },
    drill: { otherCellErrors: 0, otherCellRetries: 0, acceptedLost: 0 },
    oversold: 0,
    duplicateOrders: 0,
    complaints: [],
  });
  expect(await processesNaming("fulfillment-cells-demo-")).toEqual([]);
});

it("ends at once when it is stopped, and leaves no process", async () => {
  const child = spawn(process.execPath, [join(ROOT, "local", "demo", "main.ts"), "--without-kubernetes"], {
    cwd: ROOT,
  });
  let output = "";
  const stores = new Promise<void>((resolve) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString("utf8");
      if (output.includes("Start processor, issuer and two cells")) resolve();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  });
  const code = new Promise<number | null>((resolve) => child.on("close", resolve));
  await Promise.race([stores, code]);
  child.kill("SIGINT");
  expect(await code, output).toBe(1);
  expect(output).toContain("Stopped.");
  expect(await processesNaming("fulfillment-cells-demo-")).toEqual([]);
});

it("says in one sentence what is wrong with a number of orders", async () => {
  const ended = await demo("--orders", "many");
  expect(ended.code).toBe(1);
  expect(ended.output.trim()).toBe("--orders takes a whole number from 2 to 500.");
});
