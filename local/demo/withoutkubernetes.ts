import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../../platform/sql.ts";
import { generateKey } from "../../platform/trust.ts";
import { parseYaml } from "../../platform/yaml.ts";
import { freePorts } from "../ports.ts";
import type { Progress } from "../progress.ts";
import { preflight } from "../setup/preflight.ts";
import { ensureSystemPackages } from "../setup/system.ts";
import { goOnUnless, orStopped } from "../stop.ts";
import { startStores } from "../stores/stores.ts";
import { createApi, pause } from "./api.ts";
import type { Killer } from "./drill.ts";
import type { LedgerEntry, World } from "./facts.ts";
import type { Center } from "./load.ts";
import { type ProcessCell, prepareCell } from "./processcell.ts";
import { type Running, startProcess, untilReady } from "./processes.ts";
import { runScenario } from "./scenario.ts";
import { toJson, toText } from "./summary.ts";

const CENTERS = ["seoul-gangnam", "seoul-mapo"];
const HOLD_SECONDS = 15;
const READY_TIMEOUT_MS = 60_000;

export interface WithoutKubernetesOptions {
  readonly root: string;
  readonly orders: number;
  readonly progress: Progress;
  readonly json: string | undefined;
  readonly signal: AbortSignal;
}

/** Gateway and two Compact cells as processes on real stores: orders, drill and books, but no operator. Returns the exit code. */
export async function withoutKubernetes(options: WithoutKubernetesOptions): Promise<number> {
  const { progress } = options;
  progress.line(
    "Without Kubernetes: not shown are the operator, the topology Separate, policies, quotas and Pod Security.",
  );
  const checked = await preflight({ kubernetes: false });
  if (!checked.ok) throw new Error(checked.problems.map(({ message }) => message).join("\n"));
  const installed = await ensureSystemPackages(progress, ["stores"]);
  if (!installed.ok) throw new Error(installed.message);
  const dir = await mkdtemp(join(tmpdir(), "fulfillment-cells-demo-"));
  // PostgreSQL runs as a user of its own, who has to pass through; what is secret in here is closed by itself.
  await chmod(dir, 0o755);
  const stops: (() => Promise<unknown>)[] = [];
  let isDone = false;
  try {
    const code = await run(options, dir, stops);
    isDone = true;
    return code;
  } finally {
    for (const stop of stops.reverse()) await stop().catch(() => undefined);
    if (isDone || options.signal.aborted) await rm(dir, { recursive: true, force: true });
    else progress.line(`What the processes said is kept in ${dir}.`);
    progress.line("Nothing is left running.");
  }
}

async function run(
  options: WithoutKubernetesOptions,
  dir: string,
  stops: (() => Promise<unknown>)[],
): Promise<number> {
  const { root, progress, orders, signal } = options;
  const stores = await startStores({ dir: join(dir, "stores"), report: progress });
  stops.push(() => stores.stop());
  goOnUnless(signal);
  const [gatewayPort = 0, pspPort = 0, issuerPort = 0] = await freePorts(3);
  const gatewayKey = await generateKey();
  const password = randomBytes(18).toString("hex");
  const open = (url: string) =>
    createSql({
      ...parseDatabaseUrl(url),
      applicationName: "demo",
      log: createLogger({ service: "demo", level: "silent" }),
      metrics: createMetrics({ service: "demo" }),
      max: 2,
    });
  const admin = open(stores.databaseUrl);
  stops.push(() => admin.close());
  const databaseUrl = async (name: string) => {
    await admin.query(`CREATE DATABASE ${name}`);
    const url = new URL(stores.databaseUrl);
    url.pathname = `/${name}`;
    return url.href;
  };
  const region: Running[] = [];
  const begin = (running: Running) => {
    stops.push(() => running.stop());
    region.push(running);
  };
  const regionUrl = await databaseUrl("region");
  const common = { root, dir };
  const startedMs = progress.elapsedMs();
  const cells: ProcessCell[] = [];
  const databases = new Map<string, Sql>();
  const readySeconds: number[] = [];
  await progress.step(
    "Start processor, issuer and two cells",
    "each cell with its own database, Redis keyspace and topics",
    async () => {
      const served = { REGION_DATABASE_URL: regionUrl, BIND_HOST: "127.0.0.1" };
      begin(
        startProcess({
          ...common,
          name: "psp-sandbox",
          args: ["region/psp-sandbox/main.ts"],
          env: { ...served, PORT: `${pspPort}` },
        }),
      );
      begin(
        startProcess({
          ...common,
          name: "dev-issuer",
          args: ["region/dev-issuer/main.ts"],
          env: { ...served, PORT: `${issuerPort}` },
        }),
      );
      for (const [index, name] of CENTERS.entries()) {
        const url = await databaseUrl(`cell_${index}`);
        const redis = new URL(stores.redisUrl);
        redis.pathname = `/${index}`;
        const pspUrl = `http://127.0.0.1:${pspPort}`;
        const own = {
          databaseUrl: url,
          redisUrl: redis.href,
          kafkaBrokers: stores.kafkaBrokers,
          pspUrl,
          password,
        };
        const beganMs = Date.now();
        const cell = await prepareCell({
          root,
          dir,
          center: await readCenter(root, name),
          stores: own,
          gatewayKey,
        });
        cells.push(cell);
        stops.push(() => cell.stop());
        await cell.start();
        goOnUnless(signal);
        readySeconds.push(Math.round((Date.now() - beganMs) / 100) / 10);
        const sql = open(url);
        databases.set(name, sql);
        stops.push(() => sql.close());
      }
    },
  );
  await writeFile(join(dir, "table.json"), JSON.stringify(tableOf(cells)));
  await writeFile(join(dir, "gateway-key.jwk"), JSON.stringify(gatewayKey.privateJwk), { mode: 0o600 });
  begin(
    startProcess({
      ...common,
      name: "gateway",
      args: ["region/gateway/main.ts"],
      env: {
        REGION: "local",
        PORT: `${gatewayPort}`,
        BIND_HOST: "127.0.0.1",
        STATE_DIR: join(dir, "gateway"),
        ROUTING_TABLE_FILE: join(dir, "table.json"),
        REGION_DATABASE_URL: regionUrl,
        AUTH_JWKS_URL: `http://127.0.0.1:${issuerPort}/jwks.json`,
        GATEWAY_KEY_FILE: join(dir, "gateway-key.jwk"),
      },
    }),
  );
  await untilReady(
    region,
    [gatewayPort, pspPort, issuerPort].map((port) => `http://127.0.0.1:${port}/readyz`),
    READY_TIMEOUT_MS,
  );
  const setupMs = progress.elapsedMs();
  goOnUnless(signal);
  const scenario = await orStopped(
    runScenario({
      api: createApi({
        gatewayUrl: `http://127.0.0.1:${gatewayPort}`,
        issuerUrl: `http://127.0.0.1:${issuerPort}`,
      }),
      world: processWorld(databases, pspPort, gatewayPort),
      killer: processKiller(cells),
      centers: cells.map(({ center }) => center),
      root,
      report: progress,
      orders,
      holdSeconds: HOLD_SECONDS,
    }),
    signal,
    "Stopped.",
  );
  const result = {
    ...scenario,
    centers: cells.map(({ center }) => center),
    readySeconds,
    setupMs,
    mainMs: progress.elapsedMs() - startedMs,
    longest: undefined,
  };
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify(toJson(result), null, 2)}\n`);
  progress.done(
    result.complaints.length === 0 ? "All as it should be." : "Something is not as it should be.",
  );
  process.stdout.write(
    `${toText(result)}\n  Not shown without Kubernetes: the operator, Separate, policies, quotas, Pod Security.\n\n`,
  );
  return result.complaints.length === 0 ? 0 : 1;
}

async function readCenter(root: string, name: string): Promise<Center> {
  const [document] = parseYaml(await readFile(join(root, "examples", `${name}.yaml`), "utf8")) as {
    spec: { location: { latitude: string; longitude: string }; coverage: { radiusMeters: number } };
  }[];
  if (!document) throw new Error(`examples/${name}.yaml is empty`);
  const { location, coverage } = document.spec;
  return {
    name,
    latitude: Number(location.latitude),
    longitude: Number(location.longitude),
    radiusMeters: coverage.radiusMeters,
    topology: "Compact",
  };
}

function tableOf(cells: readonly ProcessCell[]): unknown {
  return {
    version: 1,
    tombstones: [],
    cells: cells.map(({ center, epoch, publicKey, ports }) => ({
      name: center.name,
      mode: "Active",
      weight: 100,
      epoch,
      location: { latitude: String(center.latitude), longitude: String(center.longitude) },
      coverage: { radiusMeters: center.radiusMeters, serviceLevelMinutes: 60 },
      services: Object.fromEntries(
        Object.entries(ports).map(([slice, port]) => [slice, { host: "127.0.0.1", ip: "127.0.0.1", port }]),
      ),
      publicKey,
    })),
  };
}

const MAX_PAGES = 100;

function processWorld(databases: ReadonlyMap<string, Sql>, pspPort: number, gatewayPort: number): World {
  return {
    async query<R>(center: string, text: string) {
      return (await databases.get(center)?.query<R>(text)) ?? [];
    },
    async ledger(center) {
      const entries: LedgerEntry[] = [];
      let cursor = "";
      for (let page = 0; page < MAX_PAGES; page++) {
        const answer = await fetch(`http://127.0.0.1:${pspPort}/v1/ledger?merchant=${center}${cursor}`);
        const body = (await answer.json()) as { entries: LedgerEntry[]; nextCursor?: string };
        entries.push(...body.entries);
        if (body.nextCursor === undefined) break;
        cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
      }
      return entries;
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${gatewayPort}/metrics`)).text(),
  };
}

function processKiller(cells: readonly ProcessCell[]): Killer {
  return {
    async kill(center, holdSeconds) {
      const cell = cells.find((candidate) => candidate.center.name === center);
      await cell?.crash();
      void pause(holdSeconds * 1000).then(() => cell?.start().catch(() => undefined));
    },
    isReady: async (center) => (await cells.find((cell) => cell.center.name === center)?.isReady()) ?? false,
  };
}
