import type { Logger } from "../../platform/log.ts";
import type { Signer } from "../../platform/trust.ts";
import type { UserVerifier } from "../../platform/usertoken.ts";
import type { Fleet } from "./fleet.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Pins } from "./pins.ts";

/** Everything that a request needs; built once in `main.ts`. */
export interface GatewayDeps {
  readonly fleet: Fleet;
  readonly users: UserVerifier;
  readonly pins: Pins;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  /** The answers of `/livez`, `/readyz`, `/metrics`, `/openapi.json`; undefined for any other path. */
  operations(path: string): Promise<{ status: number; type: string; body: string } | undefined>;
  readonly signer: Signer;
  readonly now: () => number;
}
