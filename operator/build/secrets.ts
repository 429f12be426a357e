import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { type Cell, metadata } from "./cell.ts";
import { CACHE_PORT, DATABASE_PORT } from "./traffic.ts";

/** Public and private half of an ES256 key as JWK objects with `kid`. */
export interface KeyPair {
  readonly privateJwk: Record<string, unknown>;
  readonly publicJwk: Record<string, unknown>;
}

export interface SecretInputs {
  /** Decoded data of the Secrets that exist, by Secret name and key. What exists is never made anew. */
  readonly existing: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Key of the cell: the one that exists, else a fresh one. */
  readonly cellKey: KeyPair;
  /** Public keys of the region's gateways. */
  readonly gatewayKeys: readonly Record<string, unknown>[];
  /** A fresh secret word of letters and digits. */
  readonly random: () => string;
}

/** Secrets of a cell: passwords of the database, address of the cache, keys for trust between its services. */
export function buildSecrets(cell: Cell, inputs: SecretInputs): KubeObject[] {
  const have = (secret: string, key: string) => inputs.existing[secret]?.[key] ?? inputs.random();
  const passwords = SLICE_NAMES.map((slice) => [slice, have("database", slice)] as const);
  const cachePassword = have("cache", "password");
  const { privateJwk, publicJwk } = inputs.cellKey;
  return [
    secret(cell, "database", { ...adminEntries(cell, have), ...Object.fromEntries(passwords) }),
    secret(cell, "cache", {
      password: cachePassword,
      url: `redis://:${cachePassword}@cache:${CACHE_PORT}`,
    }),
    secret(cell, "trust", {
      "cell-key.jwk": JSON.stringify(privateJwk),
      // Contacts of orders are encrypted under it. A cell from before it had one used the text of its own key: it stays so.
      "contact-key": contactKey(inputs),
      "jwks.json": JSON.stringify({ keys: [publicJwk, ...inputs.gatewayKeys] }),
    }),
  ];
}

function contactKey({ existing, random }: SecretInputs): string {
  return existing.trust?.["contact-key"] ?? existing.trust?.["cell-key.jwk"] ?? random();
}

function adminEntries(cell: Cell, have: (secret: string, key: string) => string): Record<string, string> {
  if (cell.spec.database.external !== undefined) return { owner: have("database", "owner") };
  const password = have("database", "admin-password");
  const user = ADMIN_USER[cell.spec.database.engine];
  const suffix = cell.spec.database.engine === "CockroachDB" ? "?sslmode=verify-full" : "";
  return {
    "admin-password": password,
    "admin-url": `postgres://${user}:${password}@database:${DATABASE_PORT}/${DATABASE_NAME}${suffix}`,
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
