import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openWire, type Wire } from "../../cell/inventory/testing/wire.ts";
import { type ApiServer, startApiServer } from "../../local/cluster/apiserver.ts";
import { silentReport } from "../../local/cluster/report.ts";
import { freePorts } from "../../local/ports.ts";
import { API_VERSION, ROUTING_TABLE } from "../../operator/api/names.ts";
import { connectTestCluster, must, type TestCluster } from "../../operator/testing/cluster.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { type CellServer, startCellServer } from "./testing/cellserver.ts";
import { type Child, endChild, startChild } from "./testing/process.ts";
import { type Region, startRegion } from "./testing/region.ts";

/** The gateway as a process, before a real API server whose wire can be cut. */
let api: ApiServer;
let cluster: TestCluster;
let wire: Wire;
let region: Region;
let cell: CellServer;
let kubeconfig: string;
let gateway: Child | undefined;
const name = "kr-seoul";

beforeAll(async () => {
  region = await startRegion();
  // Its own API server: an operator beside it would set the table of a region without centers right.
  api = await startApiServer({
    dir: join(region.dir, "server"),
    report: silentReport(),
    withControllers: false,
  });
  cluster = await connectTestCluster(api.kubeconfigPath);
  const server = new URL(cluster.config.server);
  wire = await openWire({ host: server.hostname, port: Number(server.port) });
  kubeconfig = join(region.dir, "kubeconfig");
  const text = await readFile(api.kubeconfigPath, "utf8");
  await writeFile(kubeconfig, text.replaceAll(cluster.config.server, `https://127.0.0.1:${wire.port}`));
  cell = await startCellServer("seoul", region.gatewayKey.privateJwk);
  await putTable();
});
afterEach(async () => {
  await endChild(gateway);
  wire.mend();
});
afterAll(async () => {
  await cell?.close();
  await wire?.close();
  await cluster?.close();
  await api?.stop();
  await region?.close();
});

let version = 0;

/** Writes the next version of the table as the operator does. */
async function putTable(): Promise<void> {
  version++;
  const { location, ...entry } = cell.entry;
  must(
    await cluster.client.apply(ROUTING_TABLE, {
      apiVersion: API_VERSION,
      kind: "RoutingTable",
      metadata: { name },
      spec: {
        version,
        cells: [
          {
            ...entry,
            location: { latitude: String(location.latitude), longitude: String(location.longitude) },
          },
        ],
      },
    } as Parameters<TestCluster["client"]["apply"]>[1]),
  );
}

async function startGateway(stateDir: string): Promise<Child> {
  const [port = 0] = await freePorts(1);
  const child = startChild("gateway", port, region.envOf(stateDir, { REGION: name, KUBECONFIG: kubeconfig }));
  await eventually(() => fetch(`${child.url}/livez`).then(({ ok }) => ok));
  return child;
}

const newStateDir = () => mkdtemp(join(tmpdir(), "gateway-state-"));

async function readiness(child: Child) {
  const response = await fetch(`${child.url}/readyz`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function routed(child: Child): Promise<{ status: number; body: unknown }> {
  const headers = { authorization: `Bearer ${await region.token({ sub: "sam", roles: ["customer"] })}` };
  const response = await fetch(`${child.url}/v1/centers/seoul/orders/things`, { headers });
  return { status: response.status, body: await response.json() };
}

const isFromApiServer = (child: Child) =>
  eventually(async () => {
    const { body } = await readiness(child);
    const { routingTable } = body as { routingTable: { from: string; version: number } };
    return routingTable.from === "api-server" && routingTable.version === version;
  });

describe("while the API server is away", () => {
  it("the gateway routes by the table of its disk, also after it was killed, and follows again afterwards", async () => {
    const stateDir = await newStateDir();
    try {
      gateway = await startGateway(stateDir);
      await isFromApiServer(gateway);
      await eventually(async () => (await readFile(join(stateDir, "routing-table.json"), "utf8")).length > 0);

      wire.cut();
      expect(await routed(gateway)).toEqual({ status: 200, body: { cell: "seoul" } });
      gateway.kill("SIGKILL");
      expect(await gateway.ended).toBe("SIGKILL");

      gateway = await startGateway(stateDir);
      expect(await readiness(gateway)).toMatchObject({
        status: 200,
        body: { ok: true, routingTable: { version, from: "disk", sourceHeardSecondsAgo: null } },
      });
      expect(await routed(gateway)).toEqual({ status: 200, body: { cell: "seoul" } });
      expect(await gateway.said("the last routing table of the disk is in use")).toMatchObject({
        level: "info",
        version,
        cells: 1,
        ageSeconds: expect.any(Number),
      });

      await putTable();
      wire.mend();
      await isFromApiServer(gateway);
      expect(await routed(gateway)).toEqual({ status: 200, body: { cell: "seoul" } });
    } finally {
      await endChild(gateway);
      await rm(stateDir, { recursive: true });
    }
  });

  it("a half-written table on disk is told of and left aside until the API server is back", async () => {
    const stateDir = await newStateDir();
    try {
      const whole = JSON.stringify({ version: 1, cells: [cell.entry] });
      await writeFile(join(stateDir, "routing-table.json"), whole.slice(0, whole.length / 2));
      wire.cut();
      gateway = await startGateway(stateDir);
      expect(await gateway.said("damaged")).toMatchObject({
        level: "error",
        file: join(stateDir, "routing-table.json"),
        detail: expect.stringMatching(/./),
      });
      expect(await readiness(gateway)).toMatchObject({
        status: 503,
        body: {
          checks: { "routing-table": "no routing table has been seen yet" },
          routingTable: { from: null },
        },
      });
      expect(await routed(gateway)).toMatchObject({ status: 503, body: { code: "unavailable" } });

      wire.mend();
      await isFromApiServer(gateway);
      expect((await routed(gateway)).status).toBe(200);
      await eventually(async () => {
        const text = await readFile(join(stateDir, "routing-table.json"), "utf8");
        return text.includes(`"version":${version}`);
      });
    } finally {
      await endChild(gateway);
      await rm(stateDir, { recursive: true });
    }
  });
});
