import type { Health } from "../../platform/health.ts";
import type { Metrics } from "../../platform/metrics.ts";
import type { GatewayDeps } from "./deps.ts";

/** `/livez`, `/readyz`, `/metrics` and `/openapi.json` of the gateway. */
export function createOperations(deps: {
  health: Health;
  registry: Metrics;
  openapi: string;
}): GatewayDeps["operations"] {
  const { health, registry, openapi } = deps;
  const json = "application/json";
  return async (path) => {
    switch (path) {
      case "/livez": {
        const report = health.live();
        return { status: report.ok ? 200 : 503, type: json, body: JSON.stringify(report) };
      }
      case "/readyz": {
        const report = await health.ready();
        return { status: report.ok ? 200 : 503, type: json, body: JSON.stringify(report) };
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
