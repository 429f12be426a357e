import { createHealth } from "../health.ts";
import type { Route } from "../http.ts";
import { type HttpOptions, type HttpServer, startHttp } from "../http-server.ts";
import { createLogger } from "../log.ts";
import { createMetrics, type Metrics } from "../metrics.ts";
import { createSigner, createVerifier, generateKey } from "../trust.ts";

/** A server on a free port of the loopback, with tokens of both sorts. */
export interface TestServer {
  readonly url: string;
  readonly server: HttpServer;
  readonly metrics: Metrics;
  /** The log's lines so far, each parsed. */
  readonly lines: readonly Record<string, unknown>[];
  /** Headers of the gateway's request for this user. */
  asUser(sub: string, ...roles: string[]): Promise<Record<string, string>>;
  /** Headers of a sibling's request. */
  asSlice(): Promise<Record<string, string>>;
}

/** Serves `routes` as a slice of the cell `seoul` would. */
export async function startTestServer(
  routes: readonly Route[],
  options: Partial<HttpOptions> = {},
): Promise<TestServer> {
  const [cell, gateway] = await Promise.all([generateKey(), generateKey()]);
  const metrics = createMetrics({ service: "test" });
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    service: "test",
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  const server = await startHttp({
    routes,
    port: 0,
    host: "127.0.0.1",
    log,
    metrics,
    health: createHealth([]),
    openapi: { title: "test" },
    verifier: createVerifier({ keys: { keys: [cell.publicJwk, gateway.publicJwk] }, audience: "seoul" }),
    ...options,
  });
  const [ofGateway, ofCell] = await Promise.all([
    createSigner({ jwk: gateway.privateJwk, issuer: "gateway", subject: "gateway" }),
    createSigner({ jwk: cell.privateJwk, issuer: "cell", subject: "orders" }),
  ]);
  return {
    url: `http://127.0.0.1:${server.port}`,
    server,
    metrics,
    lines,
    asUser: async (sub, ...roles) => ({
      authorization: `Bearer ${await ofGateway.token("seoul")}`,
      "x-cells-user": sub,
      "x-cells-roles": roles.join(","),
    }),
    asSlice: async () => ({ authorization: `Bearer ${await ofCell.token("seoul")}` }),
  };
}
