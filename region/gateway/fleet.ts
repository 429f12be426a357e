import type { Signer } from "../../platform/trust.ts";
import { type CellLink, createCellLink } from "./cell.ts";
import type { CellView, Table, TableCell } from "./domain.ts";
import { type CellHealth, judge, mayRemove, UNSEEN } from "./health.ts";
import type { GatewayMetrics } from "./metrics.ts";

/** Every cell of the table in use, with what this gateway knows of each. */
export interface Fleet {
  table(): Table | undefined;
  /** Swaps the table in; links of cells that stay are kept with their breakers and health. */
  use(table: Table): void;
  cell(name: string): { readonly entry: TableCell; readonly link: CellLink } | undefined;
  views(): ReadonlyMap<string, CellView>;
  removed(name: string): boolean;
  /** Tells of a forward of an order, so that a dead cell is seen between two probes. */
  observe(name: string, ok: boolean): void;
  /** One round of probes over all cells, each bounded by its own timeout. */
  probeAll(): Promise<void>;
  close(): void;
}

export interface FleetOptions {
  readonly signer: Signer;
  readonly metrics: GatewayMetrics;
  readonly log: { warn(fields: Record<string, unknown>, message: string): void };
  readonly now: () => number;
  /** Requests to one cell at once; default 256. */
  readonly maxInFlightPerCell?: number;
}

const MAX_IN_FLIGHT_PER_CELL = 256;

/** Makes an empty fleet; it serves nothing until a table is in use. */
export function createFleet(options: FleetOptions): Fleet {
  const { signer, metrics, log, now, maxInFlightPerCell: maxInFlight = MAX_IN_FLIGHT_PER_CELL } = options;
  let current: Table | undefined;
  let entries = new Map<string, TableCell>();
  const links = new Map<string, CellLink>();
  const health = new Map<string, CellHealth>();

  const inService = () => [...entries.values()].filter(({ mode, weight }) => mode === "Active" && weight > 0);
  const removed = (name: string) => health.get(name)?.removed ?? false;

  function publish(name: string): void {
    const entry = entries.get(name);
    const effective = entry && entry.mode === "Active" && !removed(name) ? entry.weight : 0;
    metrics.weight.set({ cell: name }, effective);
  }

  function note(name: string, ok: boolean): void {
    if (!entries.has(name)) return;
    const before = health.get(name) ?? UNSEEN;
    const others = inService().map((entry) => entry.name);
    const after = judge(before, { ok, atMs: now() }, mayRemove(name, health, others));
    health.set(name, after);
    if (before.firstFailureAtMs !== after.firstFailureAtMs && after.firstFailureAtMs !== undefined)
      metrics.firstRefused.set({ cell: name }, after.firstFailureAtMs / 1000);
    if (before.removed === after.removed) return;
    const at = (after.removed ? after.removedAtMs : after.restoredAtMs) ?? now();
    (after.removed ? metrics.removedAt : metrics.restoredAt).set({ cell: name }, at / 1000);
    log.warn(
      { cell: name, removed: after.removed },
      after.removed ? "cell taken out of routing" : "cell taken back",
    );
    publish(name);
  }

  return {
    table: () => current,
    removed,
    use(table) {
      current = table;
      entries = new Map(table.cells.map((cell) => [cell.name, cell]));
      for (const name of entries.keys())
        if (!links.has(name)) links.set(name, createCellLink({ name, signer, now, metrics, maxInFlight }));
      for (const [name, link] of links) {
        if (entries.has(name)) continue;
        link.close();
        links.delete(name);
        health.delete(name);
        metrics.weight.set({ cell: name }, 0);
      }
      for (const name of entries.keys()) publish(name);
      metrics.tableVersion.set({}, table.version);
    },
    cell(name) {
      const entry = entries.get(name);
      const link = links.get(name);
      return entry && link && { entry, link };
    },
    views: () => new Map([...links].map(([name, link]) => [name, link.view(removed(name))])),
    observe: note,
    async probeAll() {
      const probes = [...entries.values()].map(async (entry) => {
        const ok = (await links.get(entry.name)?.probe(entry)) ?? false;
        note(entry.name, ok);
      });
      await Promise.all(probes);
    },
    close() {
      for (const link of links.values()) link.close();
      links.clear();
    },
  };
}
