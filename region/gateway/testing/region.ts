import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../local/ports.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createMetrics } from "../../../platform/metrics.ts";
import { createSql, parseDatabaseUrl } from "../../../platform/sql.ts";
import { eventually, testStores } from "../../../platform/testing/stores.ts";
import { generateKey, type KeyPair } from "../../../platform/trust.ts";
import { endChild, startChild } from "./process.ts";

/** What a gateway process needs around it: a database, a key, and the issuer of users' tokens as its own process. */
export interface Region {
  readonly dir: string;
  readonly gatewayKey: KeyPair;
  readonly issuerUrl: string;
  /** Environment of a gateway process. */
  envOf(stateDir: string, more: Readonly<Record<string, string>>): Record<string, string>;
  token(user: { sub: string; roles: readonly string[]; centers?: readonly string[] }): Promise<string>;
  close(): Promise<void>;
}

let regions = 0;

/** Makes the region of one test file. */
export async function startRegion(): Promise<Region> {
  const dir = await mkdtemp(join(tmpdir(), "region-"));
  const database = `region_${process.pid}_${regions++}`;
  const admin = createSql({
    ...parseDatabaseUrl(testStores().databaseUrl),
    applicationName: "test",
    log: silentLogger(),
    metrics: createMetrics({ service: "test" }),
    max: 1,
  });
  await admin.query(`CREATE DATABASE ${database}`);
  const databaseUrl = new URL(testStores().databaseUrl);
  databaseUrl.pathname = `/${database}`;
  const gatewayKey = await generateKey();
  await writeFile(join(dir, "gateway-key.jwk"), JSON.stringify(gatewayKey.privateJwk), { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  const issuer = startChild("dev-issuer", port, {});
  await eventually(() => fetch(`${issuer.url}/readyz`).then(({ ok }) => ok));
  return {
    dir,
    gatewayKey,
    issuerUrl: issuer.url,
    envOf: (stateDir, more) => ({
      STATE_DIR: stateDir,
      REGION_DATABASE_URL: databaseUrl.href,
      AUTH_JWKS_URL: `${issuer.url}/jwks.json`,
      GATEWAY_KEY_FILE: join(dir, "gateway-key.jwk"),
      DRAIN_MS: "0",
      ...more,
    }),
    async token(user) {
      const response = await fetch(`${issuer.url}/token`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(user),
      });
      return ((await response.json()) as { access_token: string }).access_token;
    },
    async close() {
      await endChild(issuer);
      await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await admin.close();
      await rm(dir, { recursive: true });
    },
  };
}
