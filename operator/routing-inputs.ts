import { cellKeyFile } from "../platform/credentials.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { type FulfillmentCenter, specSchema } from "./api/fulfillment-center.ts";
import { cellNamespace } from "./api/names.ts";
import { generationsInUse } from "./build/cell.ts";
import { keyFromSecret } from "./observe.ts";
import { secretData } from "./observed.ts";
import type { RoutingInput } from "./routing.ts";
import type { Stores } from "./stores.ts";

interface Read {
  /** Versions of everything that the input was made of. */
  readonly versions: string;
  readonly input: RoutingInput;
}

/**
 * Everything that the table of a region depends on, from the local copies. A table is looked at whenever one of its centers changes, and
 * reading a spec and a key costs more than the rest of the look: what has not changed since the last look is not read again.
 */
export function createRoutingInputs(
  stores: Pick<Stores, "centersOfRegion" | "ofCenter" | "services" | "secrets">,
): (region: string) => RoutingInput[] {
  const known = new Map<string, ReadonlyMap<string, Read>>();

  return (region) => {
    const before = known.get(region);
    const now = new Map<string, Read>();
    for (const fc of stores.centersOfRegion(region)) {
      const { name } = fc.metadata;
      const namespace = cellNamespace(name);
      const services = stores
        .ofCenter(stores.services, name)
        .filter(({ metadata }) => metadata.namespace === namespace);
      const trust = stores.secrets.get(`${namespace}/trust`);
      const versions = [fc, trust, ...services].map(versionOf).join();
      const last = before?.get(name);
      now.set(name, last?.versions === versions ? last : { versions, input: inputOf(fc, services, trust) });
    }
    if (now.size === 0) known.delete(region);
    else known.set(region, now);
    return [...now.values()].map(({ input }) => input);
  };
}

function versionOf(object: KubeObject | FulfillmentCenter | undefined): string {
  return object === undefined ? "" : `${object.metadata.uid}@${object.metadata.resourceVersion}`;
}

function inputOf(
  fc: FulfillmentCenter,
  services: readonly KubeObject[],
  trust: KubeObject | undefined,
): RoutingInput {
  const parsed = specSchema.safeParse(fc.spec);
  const keys = signingKeys(trust === undefined ? {} : (secretData([trust]).trust ?? {}), fc);
  return {
    name: fc.metadata.name,
    fc: parsed.success ? { ...fc, spec: parsed.data } : undefined,
    services,
    publicKey:
      keys.length > 1 ? JSON.stringify({ keys }) : keys.length === 1 ? JSON.stringify(keys[0]) : undefined,
  };
}

/** Public halves of the keys that pods of the cell sign with now: more than one only while credentials change. */
function signingKeys(data: Readonly<Record<string, string>>, { status }: FulfillmentCenter) {
  return generationsInUse(status?.credentials ?? { generation: 0, settled: 0 }).flatMap((number) => {
    const key = keyFromSecret(data[cellKeyFile(number)])?.publicJwk;
    return key === undefined ? [] : [key];
  });
}
