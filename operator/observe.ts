import { publicHalf } from "../platform/trust.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { cellNamespace } from "./api/names.ts";
import type { KeyPair } from "./build/secrets.ts";
import { type Chance, systemChance } from "./chance.ts";
import { type Observed, secretData } from "./observed.ts";
import type { Stores } from "./stores.ts";

/** Reads everything about a center from the local copies. The only thing made here is a key for a cell that has none. */
export async function observe(
  stores: Stores,
  fc: FulfillmentCenter,
  gatewayKeys: readonly Record<string, unknown>[],
  chance: Pick<Chance, "keyPair"> = systemChance,
): Promise<Observed> {
  const { name } = fc.metadata;
  const namespace = cellNamespace(name);
  const inside = (object: { metadata: { namespace?: string } }) => object.metadata.namespace === namespace;
  const objects = stores.owned.flatMap((store) => stores.ofCenter(store, name)).filter(inside);
  return {
    namespace: stores.namespaces.get(namespace),
    objects,
    pods: stores.ofCenter(stores.pods, name).filter(inside),
    claims: stores.ofCenter(stores.claims, name).filter(inside),
    table: stores.tables.get(fc.spec.region),
    cellKey: keyFromSecret(secretData(objects).trust?.["cell-key.jwk"]) ?? (await chance.keyPair()),
    gatewayKeys,
  };
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
