import { cellKeyFile } from "../platform/credentials.ts";
import type { ReconcileContext, ReconcileResult } from "../platform/kube/controller.ts";
import type { KubeLog } from "../platform/kube/ports.ts";
import { type FulfillmentCenter, specSchema } from "./api/fulfillment-center.ts";
import { API_VERSION, cellNamespace, LABELS, MANAGER, ROUTING_TABLE } from "./api/names.ts";
import type { OperatorSettings } from "./api/settings.ts";
import type { Writer } from "./apply.ts";
import type { Chance } from "./chance.ts";
import { createGatewayKey, gatewayPublicKeys } from "./keys.ts";
import { keyFromSecret } from "./observe.ts";
import { secretData } from "./observed.ts";
import { nextRoutingTable, type RoutingInput } from "./routing.ts";
import { COALESCE_MS, paceOf } from "./routing-pace.ts";
import type { Stores } from "./stores.ts";

const LAG_MS = 50;

/** Keeps the routing table of a region as the centers of that region want it, and the key of its gateways. */
export function createRoutingReconcile(deps: {
  readonly settings: OperatorSettings;
  readonly stores: Stores;
  readonly writer: Writer;
  readonly log: KubeLog;
  readonly nowMs: () => number;
  readonly chance: Chance;
}) {
  const { settings, stores, writer, log } = deps;
  const lastWriteMs = new Map<string, number>();
  const lastLookMs = new Map<string, number>();
  const leftOf = (last: Map<string, number>, region: string, paceMs: number) => {
    const leftMs = (last.get(region) ?? 0) + paceMs - deps.nowMs();
    // A clock that was set back is no reason to wait longer.
    return leftMs <= paceMs ? leftMs : 0;
  };

  return async (region: string, context: ReconcileContext): Promise<ReconcileResult> => {
    const owner = `routing ${region}`;
    if (!writer.applier.caughtUp(owner)) return { requeueAfterMs: LAG_MS };
    if (gatewayPublicKeys(stores, settings.namespace, region) === undefined) {
      const failure = await createGatewayKey(
        writer.client,
        settings.namespace,
        region,
        deps.chance,
        context.signal,
      );
      if (failure !== undefined) {
        log.warn({ region, code: failure.code, error: failure.message }, "the key of a region was not made");
        return { retry: true };
      }
    }
    // A look reads every center of the region, and each change in any of them asks for one.
    const restMs = leftOf(lastLookMs, region, COALESCE_MS);
    if (restMs > 0) return { requeueAfterMs: restMs };
    lastLookMs.set(region, deps.nowMs());
    const current = stores.tables.get(region);
    const next = nextRoutingTable(routingInputs(stores, region), current?.spec);
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
      { owner, signal: context.signal, onlyIfUnchanged: true },
    );
    if (!result.ok) {
      lastLookMs.delete(region);
      log.warn({ region, code: result.code, error: result.message }, "the routing table was not written");
      return { retry: true };
    }
    lastWriteMs.set(region, deps.nowMs());
    log.info({ region, version: next.version, cells: next.cells.length }, "wrote the routing table");
    return {};
  };
}

/** Everything that the table of a region depends on, from the local copies. */
export function routingInputs(stores: Stores, region: string): RoutingInput[] {
  return stores.centersOfRegion(region).map((fc) => {
    const parsed = specSchema.safeParse(fc.spec);
    const { name } = fc.metadata;
    const inside = stores
      .ofCenter(stores.services, name)
      .filter(({ metadata }) => metadata.namespace === cellNamespace(name));
    const trust = stores.secrets.get(`${cellNamespace(name)}/trust`);
    const data = trust === undefined ? {} : (secretData([trust]).trust ?? {});
    const keys = signingKeys(data, fc);
    return {
      name,
      fc: parsed.success ? { ...fc, spec: parsed.data } : undefined,
      services: inside,
      publicKey:
        keys.length > 1 ? JSON.stringify({ keys }) : keys.length === 1 ? JSON.stringify(keys[0]) : undefined,
    };
  });
}

/** Public halves of the keys that pods of the cell sign with now: more than one only while credentials change. */
function signingKeys(data: Readonly<Record<string, string>>, { status }: FulfillmentCenter) {
  const { generation, settled } = status?.credentials ?? { generation: 0, settled: 0 };
  return Array.from({ length: generation - settled + 1 }, (_, index) => settled + index).flatMap((number) => {
    const key = keyFromSecret(data[cellKeyFile(number)])?.publicJwk;
    return key === undefined ? [] : [key];
  });
}
