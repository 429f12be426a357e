import type { KubeObject } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter, FulfillmentCenterInput } from "../api/fulfillment-center.ts";
import { specSchema } from "../api/fulfillment-center.ts";
import { API_VERSION, FINALIZER } from "../api/names.ts";
import { type OperatorSettings, settingsSchema } from "../api/settings.ts";

export const SETTINGS: OperatorSettings = settingsSchema.parse({
  CELL_IMAGE: "registry.example/cell:1",
  POSTGRES_IMAGE: "registry.example/postgres:17",
  REDIS_IMAGE: "registry.example/redis:8",
  KAFKA_BROKERS: "kafka.fulfillment-cells.svc:9092",
  KAFKA_REPLICAS: "1",
  PSP_URL: "http://psp-sandbox.fulfillment-cells.svc:8090",
  PSP_NAMESPACE: "fulfillment-cells",
});

/** The smallest spec that the API server takes, but for the region. */
const SMALLEST = {
  location: { latitude: "37.5663", longitude: "126.9018" },
  coverage: { radiusMeters: 8000 },
  database: { engine: "PostgreSQL", storage: "1Gi" },
} as const satisfies Partial<FulfillmentCenterInput>;

/** A center as a person writes it; deleted, it leaves nothing. `spec` overrides the smallest one. */
export function newCenter(
  name: string,
  region: string,
  spec: Partial<FulfillmentCenterInput> = {},
): KubeObject {
  const whole = { region, ...SMALLEST, deletion: { policy: "Delete" }, ...spec };
  return { apiVersion: API_VERSION, kind: "FulfillmentCenter", metadata: { name }, spec: whole };
}

/** A center as the API server returns it, defaults filled in; `spec` overrides the smallest one. */
export function center(
  spec: Partial<FulfillmentCenterInput> = {},
  more: { name?: string; uid?: string } & Partial<
    Omit<FulfillmentCenter, "spec" | "kind" | "apiVersion">
  > = {},
): FulfillmentCenter {
  const { name = "seoul-mapo", uid = "7d1f0c52-0000-4000-8000-000000000001", metadata, ...rest } = more;
  return {
    apiVersion: API_VERSION,
    kind: "FulfillmentCenter",
    metadata: {
      name,
      uid,
      generation: 1,
      resourceVersion: "1",
      finalizers: [FINALIZER],
      ...(metadata as object | undefined),
    },
    spec: specSchema.parse({
      region: "kr-seoul",
      ...SMALLEST,
      ...spec,
    }),
    ...rest,
  };
}
