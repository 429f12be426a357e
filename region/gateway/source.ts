import { readFile } from "node:fs/promises";
import { ROUTING_TABLE } from "../../operator/api/names.ts";
import { createKubeClient } from "../../platform/kube/client.ts";
import { loadClusterConfig } from "../../platform/kube/config.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Fleet } from "./fleet.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { acceptTable, readSavedTable, saveTable } from "./table.ts";

export interface TableSource {
  stop(): Promise<void>;
}

export interface TableSourceOptions {
  readonly region: string;
  /** Read instead of the API server, where there is none. */
  readonly file: string | undefined;
  readonly stateDir: string;
  readonly fleet: Fleet;
  readonly metrics: GatewayMetrics;
  readonly registry: Metrics;
  readonly log: Logger;
}

const FILE_INTERVAL_MS = 1_000;
const AGE_INTERVAL_MS = 1_000;

/**
 * Puts the last table of the disk in use at once, then follows the API server. While that is away the table in use goes on being
 * served, for as long as it takes.
 */
export async function startTableSource(options: TableSourceOptions): Promise<TableSource> {
  const { fleet, stateDir, log } = options;
  const saved = await readSavedTable(stateDir);
  if (saved) {
    fleet.use(saved);
    log.info({ version: saved.version }, "the last routing table of the disk is in use");
  }
  return options.file === undefined ? follow(options) : poll(options, options.file);
}

function offer({ fleet, stateDir, metrics, log }: TableSourceOptions, spec: unknown): void {
  const current = fleet.table();
  const verdict = acceptTable(current, spec);
  if (!verdict.ok) {
    metrics.tableRejected.inc({ reason: verdict.reason });
    log.error({ reason: verdict.reason, detail: verdict.detail }, "a routing table was not taken into use");
    return;
  }
  if (current && current.version === verdict.table.version) return;
  fleet.use(verdict.table);
  log.info({ version: verdict.table.version, cells: verdict.table.cells.length }, "routing table in use");
  saveTable(stateDir, verdict.table).catch((error: unknown) =>
    log.error(
      { error: errorText(error) },
      "the routing table could not be saved; a restart without the API server would not have it",
    ),
  );
}

async function follow(options: TableSourceOptions): Promise<TableSource> {
  const { region, log, metrics, registry } = options;
  const cluster = await loadClusterConfig();
  if (!cluster.ok) throw new Error(cluster.message);
  const client = createKubeClient(cluster.config, {
    log,
    metrics: registry,
    userAgent: "fulfillment-cells-gateway",
    fieldManager: "fulfillment-cells-gateway",
  });
  const informer = createInformer<KubeObject & { spec?: unknown }>({
    client,
    ref: ROUTING_TABLE,
    log,
    metrics: registry,
    fieldSelector: `metadata.name=${region}`,
  });
  const unsubscribe = informer.store.onChange((change) => {
    // A deleted table is no order to stop routing: only a newer one changes what is in use.
    if (change.type !== "deleted") offer(options, change.object.spec);
  });
  const stopping = new AbortController();
  const running = informer.run(stopping.signal);
  const timer = setInterval(
    () => metrics.tableAge.set({}, Math.min(informer.ageMs(), 1e12) / 1000),
    AGE_INTERVAL_MS,
  );
  return {
    async stop() {
      clearInterval(timer);
      unsubscribe();
      stopping.abort();
      await running;
      await client.close();
    },
  };
}

async function poll(options: TableSourceOptions, file: string): Promise<TableSource> {
  let last = "";
  const read = async () => {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text === "" || text === last) return;
    last = text;
    try {
      offer(options, JSON.parse(text));
    } catch (error) {
      options.log.error({ file, error: errorText(error) }, "the routing table file is not JSON");
    }
  };
  await read();
  const timer = setInterval(() => void read(), FILE_INTERVAL_MS);
  return { stop: async () => clearInterval(timer) };
}
