import { cellKeyFile, numbered, publicHalf, WEBHOOK_SECRETS } from "../../platform/credentials.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { type Cell, generationsInUse, metadata } from "./cell.ts";
import { adminBefore } from "./environment.ts";
import { hashOf } from "./hash.ts";
import { CACHE_PORT, DATABASE_PORT } from "./traffic.ts";

/** Public and private half of an ES256 key as JWK objects with `kid`. */
export interface KeyPair {
  readonly privateJwk: Record<string, unknown>;
  readonly publicJwk: Record<string, unknown>;
}

export interface SecretInputs {
  /** Decoded data of the Secrets that exist, by Secret name and key. What exists is never made anew. */
  readonly existing: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Key that the cell signs with: the one that exists, else a fresh one. */
  readonly cellKey: KeyPair;
  /** Key that it will sign with after the next rotation: every service knows its public half long before. */
  readonly nextCellKey: KeyPair;
  /** Public keys of the region's gateways. */
  readonly gatewayKeys: readonly Record<string, unknown>[];
  /** A fresh secret word of letters and digits. */
  readonly random: () => string;
}

/**
 * Secrets of a cell: passwords of the database, address of the cache, keys for trust between its services. While credentials
 * change they hold the old ones beside the new.
 */
export function buildSecrets(cell: Cell, inputs: SecretInputs): KubeObject[] {
  const have = (secret: string, key: string) => inputs.existing[secret]?.[key] ?? inputs.random();
  const { generation, serving } = cell.credentials;
  const valid = generationsInUse(cell.credentials);
  const passwords = valid.flatMap((number) =>
    SLICE_NAMES.map((slice) => {
      const key = numbered(slice, number);
      return [key, have("database", key)] as const;
    }),
  );
  const cachePasswords = new Map(
    valid.map((number) => [number, have("cache", numbered("password", number))] as const),
  );
  // Redis itself lets the old one in until nobody uses it any more.
  const admitted = [...cachePasswords].filter(([number]) => number >= Math.min(serving, generation));
  return [
    secret(cell, "database", { ...adminEntries(cell, inputs), ...Object.fromEntries(passwords) }),
    secret(cell, "cache", {
      ...Object.fromEntries(
        [...cachePasswords].flatMap(([number, password]) => [
          [numbered("password", number), password],
          [numbered("url", number), `redis://:${password}@cache:${CACHE_PORT}`],
        ]),
      ),
      [CACHE_USERS]: `user default on ~* &* +@all ${admitted.map(([, password]) => `>${password}`).join(" ")}\n`,
    }),
    secret(cell, "trust", {
      ...trustEntries(inputs, valid, generation),
      ...webhookEntries(cell.settings.processor.webhookSecrets),
    }),
  ];
}

/** Entry of the database's Secret with the password of the role that owns the cell's database on a shared server. */
export function ownerEntry(generation: number): string {
  return numbered("owner", generation);
}

/** File of Redis' users inside the Secret of the cache. */
export const CACHE_USERS = "users.acl";

function trustEntries(
  inputs: SecretInputs,
  valid: readonly number[],
  generation: number,
): Record<string, string> {
  const { cellKey, nextCellKey, gatewayKeys, existing } = inputs;
  // What earlier pods still sign with; it exists, or there is nothing that it could have signed.
  const former = valid.slice(0, -1).flatMap((number) => {
    const text = existing.trust?.[cellKeyFile(number)];
    return text === undefined ? [] : [[number, text] as const];
  });
  const keys = [
    ...former.map(([, text]) => publicHalf(JSON.parse(text) as Record<string, unknown>)),
    cellKey.publicJwk,
    nextCellKey.publicJwk,
    ...gatewayKeys,
  ];
  return {
    ...Object.fromEntries(former.map(([number, text]) => [cellKeyFile(number), text])),
    [cellKeyFile(generation)]: JSON.stringify(cellKey.privateJwk),
    [cellKeyFile(generation + 1)]: JSON.stringify(nextCellKey.privateJwk),
    // Contacts of orders are encrypted under it. A cell from before it had one used the text of its own key: it stays so.
    "contact-key": contactKey(inputs),
    "jwks.json": JSON.stringify({ keys }),
  };
}

/** Read while the service runs, so that another secret restarts nothing. */
function webhookEntries(secrets: readonly string[]): Record<string, string> {
  return secrets.length === 0 ? {} : { [WEBHOOK_SECRETS]: `${secrets.join("\n")}\n` };
}

/**
 * Hash of what a service reads when it starts, and not again: another one restarts it. Public keys are not among it, because
 * they are read again while it runs.
 */
export function credentialsChecksum(cell: Cell, objects: readonly KubeObject[]): string {
  const { generation } = cell.credentials;
  const secrets = objects.filter(({ kind }) => kind === "Secret");
  const dataOf = (name: string) =>
    (secrets.find(({ metadata }) => metadata.name === name)?.data ?? {}) as Record<string, string>;
  const { [cellKeyFile(generation)]: key, "contact-key": contacts } = dataOf("trust");
  const passwords = SLICE_NAMES.map((slice) => dataOf("database")[numbered(slice, generation)]);
  return hashOf([passwords, dataOf("cache")[numbered("url", generation)], key, contacts]);
}

function contactKey({ existing, random }: SecretInputs): string {
  return existing.trust?.["contact-key"] ?? existing.trust?.["cell-key.jwk"] ?? random();
}

/** A new password of the administrator takes the old one's place at once; the Job that puts it in force needs both. */
function adminEntries(cell: Cell, { existing, random }: SecretInputs): Record<string, string> {
  const { generation, settled } = cell.credentials;
  if (cell.spec.database.external !== undefined) {
    const names = generationsInUse(cell.credentials).map(ownerEntry);
    return Object.fromEntries(names.map((name) => [name, existing.database?.[name] ?? random()]));
  }
  const { "admin-password": present, [adminBefore(generation)]: before } = existing.database ?? {};
  const changing = generation > settled && present !== undefined;
  const password = changing && before === undefined ? random() : (present ?? random());
  const user = ADMIN_USER[cell.spec.database.engine];
  const suffix = cell.spec.database.engine === "CockroachDB" ? "?sslmode=verify-full" : "";
  return {
    "admin-password": password,
    "admin-url": `postgres://${user}:${password}@database:${DATABASE_PORT}/${DATABASE_NAME}${suffix}`,
    ...(changing ? { [adminBefore(generation)]: before ?? present } : {}),
  };
}

export const DATABASE_NAME = "cell";
/** Name of the role that makes the others. */
export const ADMIN_USER = { PostgreSQL: "postgres", CockroachDB: "provisioner" } as const;

function secret(cell: Cell, name: string, entries: Readonly<Record<string, string>>): KubeObject {
  const data = Object.fromEntries(
    Object.entries(entries).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );
  return { apiVersion: "v1", kind: "Secret", metadata: metadata(cell, name), type: "Opaque", data };
}
