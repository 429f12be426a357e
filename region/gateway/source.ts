import { readFile } from "node:fs/promises";
import { ROUTING_TABLE } from "../../operator/api/names.ts";
import { createKubeClient } from "../../platform/kube/client.ts";
import { loadClusterConfig } from "../../platform/kube/config.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { Table } from "./domain.ts";
import type { Fleet } from "./fleet.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { acceptTable, readSavedTable, saveTable } from "./table.ts";

/** Where the table in use was last confirmed: on this gateway's disk alone, or by its source. */
export type TableOrigin = "disk" | "api-server" | "file";

export interface TableSource {
  /** Undefined while no table is in use. */
  origin(): TableOrigin | undefined;
  /** Since the source was last heard of; Infinity before the first word of it. */
  ageMs(): number;
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

/** What both sources do with a table that they bring. */
interface Intake {
  origin(): TableOrigin | undefined;
  offer(spec: unknown): void;
  /** Resolves when the last table taken in is on the disk. */
  saved(): Promise<void>;
}

/**
 * Puts the last table of the disk in use at once, then follows the API server. While that is away the table in use goes on being
 * served, for as long as it takes.
 */
export async function startTableSource(options: TableSourceOptions): Promise<TableSource> {
  const isFromDisk = await useSaved(options);
  const intake = createIntake(options, isFromDisk);
  return options.file === undefined ? follow(options, intake) : poll(options, intake, options.file);
}

/** True when a table of the disk is in use. */
async function useSaved({ fleet, stateDir, log }: TableSourceOptions): Promise<boolean> {
  const saved = await readSavedTable(stateDir);
  if (saved.kind === "table") {
    fleet.use(saved.table);
    const ageSeconds = Math.max(0, Math.round((Date.now() - saved.savedAtMs) / 1000));
    log.info(
      { version: saved.table.version, cells: saved.table.cells.length, ageSeconds },
      "the last routing table of the disk is in use until its source is heard",
    );
  }
  if (saved.kind === "damaged")
    log.error(
      { file: saved.file, detail: saved.detail },
      "the routing table of the disk is damaged and left aside; nothing is routed until the source is heard",
    );
  return saved.kind === "table";
}

function createIntake(options: TableSourceOptions, isFromDisk: boolean): Intake {
  const { fleet, stateDir, metrics, log } = options;
  const source = options.file === undefined ? "api-server" : "file";
  let origin: TableOrigin | undefined = isFromDisk ? "disk" : undefined;
  let saving = Promise.resolve();

  function save(table: Table): void {
    saving = saving
      .then(() => saveTable(stateDir, table))
      .catch((error: unknown) =>
        log.error(
          { error: errorText(error) },
          "the routing table could not be saved; a restart without the API server would not have it",
        ),
      );
  }

  return {
    origin: () => origin,
    saved: () => saving,
    offer(spec) {
      const current = fleet.table();
      const verdict = acceptTable(current, spec);
      if (!verdict.ok) {
        metrics.tableRejected.inc({ reason: verdict.reason });
        log.error(
          { reason: verdict.reason, detail: verdict.detail },
          "a routing table was not taken into use",
        );
        return;
      }
      const { version, cells } = verdict.table;
      const isKnown = current?.version === version;
      if (isKnown && origin === "disk")
        log.info({ version }, "the routing table of the disk is still the last");
      origin = source;
      if (isKnown) return;
      fleet.use(verdict.table);
      log.info({ version, cells: cells.length }, "routing table in use");
      save(verdict.table);
    },
  };
}

async function follow(options: TableSourceOptions, intake: Intake): Promise<TableSource> {
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
    if (change.type !== "deleted") intake.offer(change.object.spec);
  });
  const stopping = new AbortController();
  const running = informer.run(stopping.signal);
  const timer = setInterval(
    () => metrics.tableAge.set({}, Math.min(informer.ageMs(), 1e12) / 1000),
    AGE_INTERVAL_MS,
  );
  return {
    origin: intake.origin,
    ageMs: informer.ageMs,
    async stop() {
      clearInterval(timer);
      unsubscribe();
      stopping.abort();
      await running;
      await intake.saved();
      await client.close();
    },
  };
}

async function poll(options: TableSourceOptions, intake: Intake, file: string): Promise<TableSource> {
  let last = "";
  let readAtMs = Number.NEGATIVE_INFINITY;
  const read = async () => {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text === "") return;
    readAtMs = Date.now();
    if (text === last) return;
    last = text;
    try {
      intake.offer(JSON.parse(text));
    } catch (error) {
      options.log.error({ file, error: errorText(error) }, "the routing table file is not JSON");
    }
  };
  await read();
  const timer = setInterval(() => void read(), FILE_INTERVAL_MS);
  return {
    origin: intake.origin,
    ageMs: () => Date.now() - readAtMs,
    async stop() {
      clearInterval(timer);
      await intake.saved();
    },
  };
}
