import { type ReconcileContext, type ReconcileResult, soonest } from "../platform/kube/controller.ts";
import type { EventRecorder } from "../platform/kube/events.ts";
import type { KubeLog } from "../platform/kube/ports.ts";
import { API_VERSION, LABELS, MANAGER, ROUTING_TABLE } from "./api/names.ts";
import type { OperatorSettings } from "./api/settings.ts";
import type { Writer } from "./apply.ts";
import type { Chance } from "./chance.ts";
import { createKeyKeeper } from "./keys.ts";
import { nextRoutingTable } from "./routing.ts";
import { createRoutingInputs } from "./routing-inputs.ts";
import { COALESCE_MS, paceOf } from "./routing-pace.ts";
import type { Stores } from "./stores.ts";

const LAG_MS = 50;

/** Keeps the routing table of a region as the centers of that region want it, and the keys of its gateways. */
export function createRoutingReconcile(deps: {
  readonly settings: OperatorSettings;
  readonly stores: Stores;
  readonly writer: Writer;
  readonly events: EventRecorder;
  readonly log: KubeLog;
  readonly nowMs: () => number;
  readonly chance: Chance;
}) {
  const { settings, stores, writer, log } = deps;
  const inputsOf = createRoutingInputs(stores);
  const keepKeys = createKeyKeeper({ ...deps, namespace: settings.namespace });
  const lastWriteMs = new Map<string, number>();
  const lastLookMs = new Map<string, number>();
  const leftOf = (last: Map<string, number>, region: string, paceMs: number) => {
    const lastMs = last.get(region);
    if (lastMs === undefined) return 0;
    const leftMs = lastMs + paceMs - deps.nowMs();
    // A clock that was set back is no reason to wait longer.
    return leftMs <= paceMs ? leftMs : 0;
  };

  async function keepTable(region: string, owner: string, signal: AbortSignal): Promise<ReconcileResult> {
    // A look reads every center of the region, and each change in any of them asks for one.
    const restMs = leftOf(lastLookMs, region, COALESCE_MS);
    if (restMs > 0) return { requeueAfterMs: restMs };
    lastLookMs.set(region, deps.nowMs());
    const current = stores.tables.get(region);
    const next = nextRoutingTable(inputsOf(region), current?.spec);
    if (next === undefined) return {};
    const waitMs = leftOf(lastWriteMs, region, paceOf(current?.spec, next));
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    const result = await writer.applier.apply(
      {
        apiVersion: API_VERSION,
        kind: ROUTING_TABLE.kind,
        metadata: { name: region, labels: { [LABELS.managedBy]: MANAGER } },
        spec: next,
      },
      // Its version counts on from the table that was seen: two tables of one version would be one to a gateway.
      { owner, signal, onlyIfUnchanged: true },
    );
    if (!result.ok) {
      lastLookMs.delete(region);
      log.warn({ region, code: result.code, error: result.message }, "the routing table was not written");
      return { retry: true };
    }
    lastWriteMs.set(region, deps.nowMs());
    log.info({ region, version: next.version, cells: next.cells.length }, "wrote the routing table");
    return {};
  }

  return async (region: string, { signal }: ReconcileContext): Promise<ReconcileResult> => {
    const owner = `routing ${region}`;
    if (!writer.applier.caughtUp(owner)) return { requeueAfterMs: LAG_MS };
    const ofKeys = await keepKeys(region, signal);
    const ofTable = await keepTable(region, owner, signal);
    if (ofKeys.retry === true || ofTable.retry === true) return { retry: true };
    return soonest(ofKeys.requeueAfterMs, ofTable.requeueAfterMs);
  };
}
