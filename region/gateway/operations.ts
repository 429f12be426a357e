import type { Health } from "../../platform/health.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { GatewayDeps } from "./deps.ts";
import type { Fleet } from "./fleet.ts";
import type { TableSource } from "./source.ts";

/** `/livez`, `/readyz`, `/metrics` and `/openapi.json` of the gateway. */
export function createOperations(deps: {
  health: Health;
  registry: Metrics;
  openapi: string;
  fleet: Pick<Fleet, "table">;
  source: Pick<TableSource, "origin" | "ageMs">;
}): GatewayDeps["operations"] {
  const { health, registry, openapi, fleet, source } = deps;
  const json = "application/json";
  return async (path) => {
    switch (path) {
      case "/livez": {
        const report = health.live();
        return { status: report.ok ? 200 : 503, type: json, body: JSON.stringify(report) };
      }
      case "/readyz": {
        const report = await health.ready();
        // A gateway that lives on its disk is ready all the same: who looks closer sees that it is.
        const ageMs = source.ageMs();
        const routingTable = {
          version: fleet.table()?.version ?? null,
          from: source.origin() ?? null,
          sourceHeardSecondsAgo: Number.isFinite(ageMs) ? Math.round(ageMs / 1000) : null,
        };
        return {
          status: report.ok ? 200 : 503,
          type: json,
          body: JSON.stringify({ ...report, routingTable }),
        };
      }
      case "/metrics":
        return { status: 200, type: registry.contentType, body: await registry.render() };
      case "/openapi.json":
        return { status: 200, type: json, body: openapi };
      default:
        return undefined;
    }
  };
}
