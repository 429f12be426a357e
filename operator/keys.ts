import type { KubeClient } from "../platform/kube/client.ts";
import type { KubeFailure } from "../platform/kube/failures.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { LABELS, MANAGER } from "./api/names.ts";
import type { Chance } from "./chance.ts";
import type { Stores } from "./stores.ts";

export type PublicKeys = readonly Record<string, unknown>[];

/** Secret that a region's gateways read their key from. */
export function gatewayKeySecret(region: string): string {
  return `gateway-key-${region}`;
}

/** Public keys of a region's gateways as its Secret lists them; undefined while there is no readable Secret. */
export function gatewayPublicKeys(
  stores: Pick<Stores, "secrets">,
  namespace: string,
  region: string,
): PublicKeys | undefined {
  const secret = stores.secrets.get(`${namespace}/${gatewayKeySecret(region)}`);
  const text = ((secret?.data ?? {}) as Record<string, string>)["jwks.json"];
  if (text === undefined) return undefined;
  try {
    const { keys } = JSON.parse(Buffer.from(text, "base64").toString("utf8")) as {
      keys?: Record<string, unknown>[];
    };
    return Array.isArray(keys) ? keys : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Makes the key of a region's gateways, once: by create, so that a copy of the Secret that is not up to date can never
 * lead to a second key.
 */
export async function createGatewayKey(
  client: KubeClient,
  namespace: string,
  region: string,
  chance: Pick<Chance, "keyPair">,
  signal?: AbortSignal,
): Promise<KubeFailure | undefined> {
  const { privateJwk, publicJwk } = await chance.keyPair();
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
  const created = await client.create(
    KINDS.secret,
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: gatewayKeySecret(region),
        namespace,
        labels: { [LABELS.managedBy]: MANAGER, [LABELS.region]: region, [LABELS.component]: "gateway" },
      },
      type: "Opaque",
      data: { "gateway-key.jwk": encode(privateJwk), "jwks.json": encode({ keys: [publicJwk] }) },
    },
    signal === undefined ? {} : { signal },
  );
  return created.ok || created.code === "alreadyExists" ? undefined : created;
}
