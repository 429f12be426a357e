import { cellKeyFile, publicHalf } from "../platform/credentials.ts";
import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import { SLICE_PORTS } from "../platform/slices.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { cellNamespace } from "./api/names.ts";
import type { Brokers } from "./brokers.ts";
import type { KeyPair } from "./build/secrets.ts";
import type { Chance } from "./chance.ts";
import type { Draining, DrainWatch } from "./draining.ts";
import { neighboursOf } from "./neighbours.ts";
import { find, type Observed, secretData } from "./observed.ts";
import { credentialsOf } from "./rotation.ts";
import type { SecretMemory } from "./secret-memory.ts";
import type { Stores } from "./stores.ts";

/** How to learn what a draining cell still has to do. */
export interface Drains {
  readonly watch: DrainWatch;
  /** Where a cell's orders service answers, when not at its Service's address. */
  readonly urlOf?: ((center: string) => string | undefined) | undefined;
}

/** Reads everything about a center from the local copies. The only things made here are keys for a cell that lacks them. */
export async function observe(
  stores: Stores,
  fc: FulfillmentCenter,
  gatewayKeys: readonly Record<string, unknown>[],
  chance: Pick<Chance, "keyPair">,
  draining?: Drains,
  memory?: Pick<SecretMemory, "restored">,
  brokers?: Brokers,
): Promise<Observed> {
  const { name } = fc.metadata;
  const namespace = cellNamespace(name);
  const inside = (object: { metadata: { namespace?: string } }) => object.metadata.namespace === namespace;
  const found = stores.owned.flatMap((store) => stores.ofCenter(store, name)).filter(inside);
  const own = stores.namespaces.get(namespace);
  const objects = memory?.restored(own?.metadata.uid, name, found) ?? found;
  const secrets = secretData(objects);
  const { generation } = credentialsOf(fc, secrets, false);
  const keyOf = (number: number) => keyFromSecret(secrets.trust?.[cellKeyFile(number)]);
  const key = keyOf(generation);
  const drain = draining === undefined ? undefined : drainOf(draining, fc, objects, key);
  return {
    namespace: own,
    objects,
    pods: stores.ofCenter(stores.pods, name).filter(inside),
    claims: stores.ofCenter(stores.claims, name).filter(inside),
    autoscalers: stores.ofCenter(stores.autoscalers, name).filter(inside),
    table: stores.tables.get(fc.spec.region),
    cellKey: key ?? (await chance.keyPair()),
    nextCellKey: keyOf(generation + 1) ?? (await chance.keyPair()),
    gatewayKeys,
    ...(drain === undefined ? {} : { drain }),
    ...(brokers === undefined ? {} : { brokers }),
    neighbours: neighboursOf(name, objects, stores.centers),
  };
}

/** Asks only while the center is drained, and a cell only that has a key to ask with. */
function drainOf(
  { watch, urlOf }: Drains,
  fc: FulfillmentCenter,
  objects: readonly KubeObject[],
  key: KeyPair | undefined,
): Draining | undefined {
  const { name } = fc.metadata;
  if (fc.spec.mode !== "Draining" || fc.spec.paused || isDeleting(fc)) {
    watch.forget(name);
    return undefined;
  }
  const url = urlOf?.(name) ?? ordersUrl(objects);
  return watch.of(name, url === undefined || key === undefined ? undefined : { url, key });
}

/** By address, as gateways reach it: no name has to be resolved. */
function ordersUrl(objects: readonly KubeObject[]): string | undefined {
  const service = find({ objects }, "Service", "orders");
  const { clusterIP } = (service?.spec ?? {}) as { clusterIP?: string };
  if (clusterIP === undefined || clusterIP === "" || clusterIP === "None") return undefined;
  return `http://${clusterIP.includes(":") ? `[${clusterIP}]` : clusterIP}:${SLICE_PORTS.orders}`;
}

/** Key pair out of the text of a private JWK; undefined when there is none or it cannot be read. */
export function keyFromSecret(text: string | undefined): KeyPair | undefined {
  if (text === undefined) return undefined;
  try {
    const privateJwk = JSON.parse(text) as Record<string, unknown>;
    return typeof privateJwk.d === "string"
      ? { privateJwk, publicJwk: { ...publicHalf(privateJwk) } }
      : undefined;
  } catch {
    return undefined;
  }
}
