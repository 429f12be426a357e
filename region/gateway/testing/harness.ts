import { createServer } from "node:http";
import { silentLogger } from "../../../platform/log.ts";
import { createMetrics, type Metrics } from "../../../platform/metrics.ts";
import { createSigner, generateKey } from "../../../platform/trust.ts";
import {
  createUserTokenIssuer,
  createUserVerifier,
  type User,
  type UserVerifier,
} from "../../../platform/usertoken.ts";
import { watchForClosing } from "../closing.ts";
import { createFleet, type Fleet } from "../fleet.ts";
import { createGatewayMetrics } from "../metrics.ts";
import type { Pin, Pins } from "../pins.ts";
import { createGatewayServer } from "../server.ts";
import { answerJson, type CellServer, closeNow, listen, startCellServer } from "./cellserver.ts";

/** A gateway in this process before scripted cells, as `main.ts` puts it together but for the stores. */
export interface Harness {
  readonly url: string;
  readonly port: number;
  readonly fleet: Fleet;
  readonly cells: readonly CellServer[];
  /** `Authorization` of a user; staff of every center when nothing is said. */
  authorization(user?: Partial<User>): Promise<Record<string, string>>;
  /** The value of a series with these labels; 0 when it is not there. */
  metric(name: string, labels: Readonly<Record<string, string>>): Promise<number>;
  /** Stops as on SIGTERM. */
  closeGently(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts a gateway and the named cells. */
export async function startHarness(options: {
  cells: readonly string[];
  maxInFlightPerCell?: number;
  /** Who believes users; without it the harness's own issuer is believed. */
  users?: UserVerifier;
}): Promise<Harness> {
  const [gatewayKey, userKey] = await Promise.all([generateKey(), generateKey()]);
  const issuer = await createUserTokenIssuer(userKey.privateJwk);
  const jwks = createServer((_request, response) => answerJson(response, 200, { keys: [userKey.publicJwk] }));
  const jwksPort = await listen(jwks);
  const registry = createMetrics({ service: "gateway" });
  const metrics = createGatewayMetrics(registry);
  const signer = await createSigner({ jwk: gatewayKey.privateJwk, issuer: "gateway", subject: "gateway" });
  const log = silentLogger();
  const { maxInFlightPerCell } = options;
  const fleet = createFleet({
    signer,
    metrics,
    log,
    now: Date.now,
    ...(maxInFlightPerCell === undefined ? {} : { maxInFlightPerCell }),
  });
  const cells = await Promise.all(options.cells.map((name) => startCellServer(name, gatewayKey.privateJwk)));
  fleet.use({ version: 1, cells: cells.map(({ entry }) => entry) });
  const server = createGatewayServer({
    fleet,
    metrics,
    log,
    signer,
    users: options.users ?? createUserVerifier({ jwksUrl: `http://127.0.0.1:${jwksPort}/` }),
    pins: createMemoryPins(),
    operations: async () => undefined,
    now: Date.now,
  });
  const closeGently = watchForClosing(server);
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    fleet,
    cells,
    async authorization(user = {}) {
      const token = await issuer.issue({ sub: "sam", roles: ["staff"], centers: ["*"], ...user }, 300);
      return { authorization: `Bearer ${token}` };
    },
    metric: (name, labels) => readSeries(registry, name, labels),
    closeGently,
    async close() {
      await closeNow(server);
      fleet.close();
      await Promise.all([closeNow(jwks), ...cells.map((cell) => cell.close())]);
    },
  };
}

async function readSeries(registry: Metrics, name: string, labels: Readonly<Record<string, string>>) {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const line = (await registry.render())
    .split("\n")
    .find((text) => text.startsWith(`${name}{`) && wanted.every((label) => text.includes(label)));
  return Number(line?.split(" ").at(-1) ?? 0);
}

/** Pins of one process: what they promise of SQL is shown in placement.itest.ts. */
function createMemoryPins(): Pins {
  const pins = new Map<string, Pin>();
  const nameOf = ({ sub, key }: { sub: string; key: string }) => `${sub} ${key}`;
  return {
    async claim(key, bodyHash, cell) {
      const found = pins.get(nameOf(key));
      if (found) return { mine: false, pin: found };
      const pin = { cell, bodyHash, attempt: 1 };
      pins.set(nameOf(key), pin);
      return { mine: true, pin };
    },
    find: async (key) => pins.get(nameOf(key)),
    share: async () => true,
    async move(key, pin, cell) {
      const moved = { ...pin, cell, attempt: pin.attempt + 1 };
      pins.set(nameOf(key), moved);
      return moved;
    },
    forget: async (key) => void pins.delete(nameOf(key)),
    sweep: async () => 0,
  };
}
