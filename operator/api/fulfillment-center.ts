import * as z from "zod";
import type { KubeObject, ObjectMeta } from "../../platform/kube/objects.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { TLS_MODES } from "../../platform/sqltls.ts";
import { binaryQuantity, cpuQuantity, degrees, dnsLabel, listKeyedBy, rules } from "./fields.ts";
import { type FulfillmentCenterStatus, statusSchema } from "./fulfillment-center-status.ts";

const locationSchema = z
  .object({
    latitude: degrees("latitude", 90, "37.4979"),
    longitude: degrees("longitude", 180, "127.0276"),
    timeZone: z
      .string()
      .max(40)
      .default("Asia/Seoul")
      .meta({
        description: "IANA time zone of the center",
        ...rules({
          rule: "self.matches('^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$')",
          message: "timeZone is an IANA name, for example Asia/Seoul",
        }),
      }),
  })
  .meta({ description: "Where the center stands" });

const coverageSchema = z
  .object({
    radiusMeters: z
      .int()
      .min(100)
      .max(200_000)
      .meta({ description: "How far around the center it delivers" }),
    serviceLevelMinutes: z
      .int()
      .min(5)
      .max(1440)
      .default(60)
      .meta({ description: "Promised time from order to delivery" }),
  })
  .meta({ description: "Whom the center serves" });

const marketSchema = z
  .object({
    currency: z
      .string()
      .max(3)
      .default("KRW")
      .meta(
        rules({
          rule: "self.matches('^[A-Z]{3}$')",
          message: "currency is an ISO 4217 code, for example KRW",
        }),
      )
      .describe("Currency of every price and payment"),
    locale: z
      .string()
      .max(16)
      .default("ko-KR")
      .meta(
        rules({
          rule: "self.matches('^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$')",
          message: "locale is a BCP 47 tag, for example ko-KR",
        }),
      )
      .describe("Language of texts for customers"),
  })
  .prefault({})
  .describe("Money and language of the center's customers");

const externalDatabaseSchema = z
  .object({
    host: z.string().min(1).max(253).describe("Name or address of the database"),
    port: z.int().min(1).max(65_535).default(5432).describe("TCP port of the database"),
    name: z
      .string()
      .max(63)
      .optional()
      .meta({
        description: "Database that is made for the cell; default: cell_ and the name of the center",
        ...rules({
          rule: "self.matches('^[a-z_][a-z0-9_]*$')",
          message:
            "database.external.name is lower-case letters, digits and '_', for example cell_seoul_mapo",
        }),
      }),
    cidr: z
      .string()
      .max(43)
      .meta({
        description: "Address range of the database: network policies know addresses, not names",
        ...rules({ rule: "isCIDR(self)", message: "cidr is an address range, for example 10.20.0.0/24" }),
      }),
    secretRef: z.object({ name: z.string().min(1).max(253).describe("Name of the Secret") }).meta({
      description:
        "Secret in the cell's namespace: admin-url is the URL of a role with CREATEDB and CREATEROLE, ca.crt the server's authority",
    }),
    tls: z
      .enum(TLS_MODES)
      .default("VerifyFull")
      .describe(
        "How the server is known: by authority and name, by authority, encrypted only, or not at all",
      ),
  })
  .meta({
    description: "A server that somebody else runs: the cell gets one database and its own roles there",
    ...rules({
      rule: "(has(self.name) ? self.name : '') == (has(oldSelf.name) ? oldSelf.name : '')",
      message: "database.external.name cannot be changed: the cell's data would stay behind",
    }),
  });

const databaseSchema = z
  .object({
    engine: z
      .enum(["CockroachDB", "PostgreSQL"])
      .default("CockroachDB")
      .meta(
        rules({
          rule: "self == oldSelf",
          message: "database.engine cannot be changed: make a new center instead",
        }),
      )
      .describe("What stores the cell's data; cannot be changed"),
    replicas: z
      .int()
      .min(1)
      .max(7)
      .optional()
      .describe("Pods of the database, an odd number; default: 3 of CockroachDB, 1 of PostgreSQL"),
    storage: binaryQuantity("database.storage", "20Gi", {
      rule: "quantity(self).compareTo(quantity(oldSelf)) >= 0",
      message: "database.storage only grows: volumes cannot shrink",
    })
      .default("20Gi")
      .describe("Size of the volume of each database pod; only grows"),
    storageClassName: z
      .string()
      .max(253)
      .optional()
      .describe("Class of the volumes of database and cache; default: the cluster's"),
    external: externalDatabaseSchema.optional(),
  })
  .prefault({})
  .meta({
    description: "The cell's own shard",
    ...rules(
      {
        rule: "!has(self.replicas) || self.replicas == 1 || self.engine == 'CockroachDB'",
        message: "database.replicas is 1 unless the engine is CockroachDB",
      },
      {
        rule: "has(self.external) == has(oldSelf.external)",
        message: "database.external cannot be added or removed: the cell's data would stay behind",
      },
      {
        rule: "!has(self.replicas) || self.replicas % 2 == 1",
        message: "database.replicas is odd, so that a majority survives the loss of one",
      },
    ),
  });

const cacheSchema = z
  .object({
    memory: binaryQuantity("cache.memory", "64Mi")
      .default("64Mi")
      .describe("Memory for data; Redis takes no more and evicts nothing"),
    persistence: z
      .boolean()
      .default(true)
      .meta({
        description: "Keep an append-only file on a volume",
        ...rules({
          rule: "self == oldSelf",
          message: "cache.persistence cannot be changed: make a new center instead",
        }),
      }),
  })
  .prefault({})
  .describe("The cell's own Redis: holds on stock and positions of couriers");

const messagingSchema = z
  .object({
    bootstrapServers: z
      .string()
      .max(1024)
      .optional()
      .meta({
        description: "Kafka brokers, host:port with commas between; default: the operator's",
        ...rules({
          rule: "self.matches('^[A-Za-z0-9.-]+:[0-9]{1,5}(,[A-Za-z0-9.-]+:[0-9]{1,5})*$')",
          message:
            "messaging.bootstrapServers is host:port with commas between, for example kafka-0.kafka:9092",
        }),
      }),
    partitions: z
      .int()
      .min(1)
      .max(256)
      .default(3)
      .meta(
        rules({
          rule: "self >= oldSelf",
          message: "messaging.partitions only grows: topics cannot lose partitions",
        }),
      )
      .describe("Partitions of each of the cell's topics; only grows"),
    replicas: z
      .int()
      .min(1)
      .max(7)
      .optional()
      .meta({ description: "Copies of each partition; default: the operator's" }),
    retentionHours: z.int().min(1).max(8760).default(168).describe("How long Kafka keeps events"),
  })
  .prefault({})
  .describe("The cell's topics in the region's Kafka");

const amounts = z.object({
  cpu: cpuQuantity().optional().describe("Processor time in millicores or cores"),
  memory: binaryQuantity("memory", "128Mi").optional().describe("Working memory"),
});
const serviceSchema = z.object({
  name: z.enum(SLICE_NAMES).describe("Service that these settings are for"),
  replicas: z
    .int()
    .min(1)
    .max(50)
    .optional()
    .describe("Pods of the service, default 1; in Compact the largest number holds for all"),
  resources: z
    .object({
      requests: amounts.optional().describe("What is set aside for each pod"),
      limits: amounts.optional().describe("What a pod may take at most"),
    })
    .optional()
    .describe("Resources of a pod of the service; in Compact they are added up"),
});

const isolationSchema = z
  .object({
    networkPolicy: z
      .enum(["Required", "Declared"])
      .default("Declared")
      .meta({ description: "Required: Ready waits until a probe has seen a denied packet" }),
    quota: z
      .object({
        cpu: cpuQuantity().optional().describe("Sum of the processor time that pods ask for"),
        memory: binaryQuantity("quota.memory", "4Gi")
          .optional()
          .describe("Sum of the memory that pods ask for"),
        storage: binaryQuantity("quota.storage", "40Gi").optional().describe("Sum of the volumes"),
        pods: z.int().min(1).max(500).optional().describe("Number of pods"),
      })
      .optional()
      .meta({
        description: "Limits of the namespace; default: what the cell needs, with room for a rollout",
      }),
  })
  .prefault({})
  .describe("How the cell is kept apart from others");

const deletionSchema = z
  .object({
    policy: z
      .enum(["Retain", "Delete"])
      .default("Retain")
      .meta({ description: "Retain keeps the namespace, volumes and Secrets; Delete leaves nothing" }),
    protection: z.boolean().default(false).meta({ description: "While true a deletion is not carried out" }),
  })
  .prefault({})
  .describe("What becomes of the cell when the center is deleted");

/** The one source of the API: the TypeScript types, the defaults and the CRD come from here. */
export const specSchema = z
  .object({
    region: dnsLabel("region", 40, {
      rule: "self == oldSelf",
      message: "region cannot be changed: make a new center instead",
    }).describe("Region whose gateway routes to the center; cannot be changed"),
    location: locationSchema,
    coverage: coverageSchema,
    market: marketSchema,
    mode: z
      .enum(["Active", "Draining", "Fenced"])
      .default("Active")
      .meta({ description: "Draining takes no new orders; Fenced takes no writes at all" }),
    paused: z
      .boolean()
      .default(false)
      .meta({ description: "The operator reports status but changes nothing" }),
    topology: z
      .enum(["Separate", "Compact"])
      .default("Compact")
      .meta({ description: "A Deployment for each service, or one for all" }),
    release: z
      .object({
        image: z
          .string()
          .min(1)
          .max(512)
          .optional()
          .describe("Image that the cell's services and Jobs run; default: the installation's"),
      })
      .prefault({})
      .describe("What version of the software the cell runs"),
    capacity: z
      .object({
        maxOrdersPerMinute: z
          .int()
          .min(1)
          .max(100_000)
          .default(600)
          .describe("Orders above this rate are refused at once"),
      })
      .prefault({})
      .describe("How much the center can do"),
    database: databaseSchema,
    cache: cacheSchema,
    messaging: messagingSchema,
    services: z
      .array(serviceSchema)
      .max(SLICE_NAMES.length)
      .default([])
      .meta({
        description: "Settings of single services that differ from the default",
        ...listKeyedBy("name"),
      }),
    isolation: isolationSchema,
    deletion: deletionSchema,
  })
  .meta({ description: "What the center is and how its cell runs" });

/** Spec with every default filled in. */
export type FulfillmentCenterSpec = z.output<typeof specSchema>;
/** Spec as a user writes it. */
export type FulfillmentCenterInput = z.input<typeof specSchema>;

export const fulfillmentCenterSchema = z.object({ spec: specSchema, status: statusSchema.optional() }).meta({
  description: "A fulfillment center; the operator gives it a cell of its own",
  ...rules({
    rule: "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
    message:
      "metadata.name is at most 40 lower-case letters, digits and '-', and starts and ends with a letter or digit",
  }),
});

export interface FulfillmentCenter extends KubeObject {
  kind: "FulfillmentCenter";
  metadata: ObjectMeta;
  spec: FulfillmentCenterSpec;
  status?: FulfillmentCenterStatus;
}
