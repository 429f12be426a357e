import * as z from "zod";

const hostPortList = z
  .string()
  .regex(/^[A-Za-z0-9.-]+:\d{1,5}(,[A-Za-z0-9.-]+:\d{1,5})*$/, "is host:port with commas between");

/** Environment of the operator process. Checked once at start. */
export const settingsSchema = z
  .object({
    POD_NAMESPACE: z.string().min(1).default("fulfillment-cells"),
    POD_NAME: z.string().min(1).default("operator"),
    CELL_IMAGE: z.string().min(1),
    POSTGRES_IMAGE: z.string().min(1),
    REDIS_IMAGE: z.string().min(1),
    COCKROACH_IMAGE: z.string().min(1).default("cockroachdb/cockroach:v25.4.0"),
    IMAGE_PULL_POLICY: z.enum(["Always", "IfNotPresent", "Never"]).default("IfNotPresent"),
    KAFKA_BROKERS: hostPortList,
    KAFKA_REPLICAS: z.coerce.number().int().min(1).max(7).default(3),
    PSP_URL: z.url(),
    PSP_NAMESPACE: z.string().min(1).optional(),
    /** What the processor signs its webhooks with; the next one beside it, with a comma between, while it changes. */
    PSP_WEBHOOK_SECRETS: z
      .string()
      .regex(
        /^[\x21-\x2b\x2d-\x7e]{16,200}(,[\x21-\x2b\x2d-\x7e]{16,200}){0,3}$/,
        "is 1 to 4 words of 16 characters or more with commas between",
      )
      .optional(),
    GATEWAY_NAMESPACE: z.string().min(1).optional(),
    REGIONS: z
      .string()
      .regex(/^[a-z0-9-]+(,[a-z0-9-]+)*$/, "is names of regions with commas between")
      .optional(),
    OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
    LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
    PORT: z.coerce.number().int().min(1).max(65_535).default(8085),
    BIND_HOST: z.string().default("0.0.0.0"),
    WORKERS: z.coerce.number().int().min(1).max(64).default(8),
  })
  .transform((env) => ({
    namespace: env.POD_NAMESPACE,
    podName: env.POD_NAME,
    images: {
      cell: env.CELL_IMAGE,
      postgres: env.POSTGRES_IMAGE,
      redis: env.REDIS_IMAGE,
      cockroach: env.COCKROACH_IMAGE,
      pullPolicy: env.IMAGE_PULL_POLICY,
    },
    kafka: { brokers: env.KAFKA_BROKERS, replicas: env.KAFKA_REPLICAS },
    processor: {
      url: env.PSP_URL,
      ...(env.PSP_NAMESPACE ? { namespace: env.PSP_NAMESPACE } : {}),
      webhookSecrets: env.PSP_WEBHOOK_SECRETS?.split(",") ?? [],
    },
    /** Regions whose gateways wait for a key and a table before the first center is there. */
    regions: env.REGIONS?.split(",") ?? [],
    gatewayNamespace: env.GATEWAY_NAMESPACE ?? env.POD_NAMESPACE,
    ...(env.OTEL_EXPORTER_OTLP_ENDPOINT ? { otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT } : {}),
    logLevel: env.LOG_LEVEL,
    port: env.PORT,
    bindHost: env.BIND_HOST,
    workers: env.WORKERS,
  }));

/** What an operator of one cluster is told from outside; the same for all of its cells. */
export type OperatorSettings = z.output<typeof settingsSchema>;
