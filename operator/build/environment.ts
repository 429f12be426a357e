import { numbered } from "../../platform/credentials.ts";
import { SLICE_NAMES, SLICE_PORTS, type SliceName } from "../../platform/slices.ts";
import { type Cell, kafkaBrokers } from "./cell.ts";
import { COCKROACH_CERTIFICATES } from "./cockroach-init.ts";
import { type EnvVar, secretEnv } from "./pod.ts";
import { DATABASE_NAME, ownerEntry } from "./secrets.ts";
import { DATABASE_PORT } from "./traffic.ts";

/** Where the trust Secret is mounted. */
export const TRUST_DIR = "/etc/trust";

/** Environment of a process that runs these slices; `epoch` is the one that its writes carry. */
export function cellEnvironment(cell: Cell, slices: readonly SliceName[], epoch: number): EnvVar[] {
  const { spec, settings } = cell;
  const together = new Set(slices);
  return [
    ...baseEnvironment(cell, epoch),
    ...slices.map((slice) => passwordOf(cell, slice)),
    secretEnv("REDIS_URL", "cache", numbered("url", cell.credentials.generation)),
    // A pod that reached itself through its own Service would depend on hairpin traffic.
    ...SLICE_NAMES.map((slice) => ({
      name: `URL_${slice.toUpperCase()}`,
      value: `http://${together.size > 1 && together.has(slice) ? "127.0.0.1" : slice}:${SLICE_PORTS[slice]}`,
    })),
    { name: "PSP_URL", value: settings.processor.url },
    { name: "TRUST_DIR", value: TRUST_DIR },
    { name: "CENTER_LATITUDE", value: spec.location.latitude },
    { name: "CENTER_LONGITUDE", value: spec.location.longitude },
    { name: "SERVICE_LEVEL_MINUTES", value: String(spec.coverage.serviceLevelMinutes) },
    { name: "MAX_ORDERS_PER_MINUTE", value: String(spec.capacity.maxOrdersPerMinute) },
    { name: "CURRENCY", value: spec.market.currency },
    ...(settings.otlpEndpoint === undefined
      ? []
      : [{ name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: settings.otlpEndpoint }]),
  ];
}

/** Environment of the Job that makes roles, schema, lease row and topics. */
export function provisionEnvironment(cell: Cell): EnvVar[] {
  const { spec, settings } = cell;
  const external = spec.database.external;
  return [
    ...baseEnvironment(cell, cell.epoch),
    ...SLICE_NAMES.map((slice) => passwordOf(cell, slice)),
    ...(external === undefined
      ? [secretEnv("DATABASE_ADMIN_URL", "database", "admin-url")]
      : [
          // Without it the Job starts all the same and says what is missing.
          optional(secretEnv("DATABASE_ADMIN_URL", external.secretRef.name, "admin-url")),
          { name: "DATABASE_ADMIN_SECRET", value: external.secretRef.name },
          { name: "DATABASE_OWNER", value: externalOwner(cell) },
          secretEnv("DATABASE_OWNER_PASSWORD", "database", ownerEntry(cell.credentials.generation)),
        ]),
    { name: "KAFKA_PARTITIONS", value: String(spec.messaging.partitions) },
    { name: "KAFKA_REPLICAS", value: String(spec.messaging.replicas ?? settings.kafka.replicas) },
    { name: "KAFKA_RETENTION_HOURS", value: String(spec.messaging.retentionHours) },
    ...changeOfCredentials(cell),
  ];
}

/** What a Job needs to put new credentials in force with the old ones. Those are gone later, and the Job stays the same. */
function changeOfCredentials({ spec, credentials: { generation } }: Cell): EnvVar[] {
  if (generation === 0) return [];
  return [
    secretEnv("REDIS_URL", "cache", numbered("url", generation)),
    optional(secretEnv("REDIS_URL_BEFORE", "cache", numbered("url", generation - 1))),
    ...(spec.database.external === undefined
      ? [optional(secretEnv("DATABASE_ADMIN_PASSWORD_BEFORE", "database", adminBefore(generation)))]
      : []),
  ];
}

/** Entry of the database's Secret with the administrator's password before a generation. */
export function adminBefore(generation: number): string {
  return `admin-before-${generation}`;
}

function baseEnvironment(cell: Cell, epoch: number): EnvVar[] {
  const external = cell.spec.database.external;
  return [
    { name: "CELL", value: cell.name },
    { name: "CELL_EPOCH", value: String(epoch) },
    { name: "REGION", value: cell.spec.region },
    { name: "DATABASE_HOST", value: external?.host ?? "database" },
    { name: "DATABASE_PORT", value: String(external?.port ?? DATABASE_PORT) },
    ...(external === undefined
      ? [{ name: "DATABASE_NAME", value: DATABASE_NAME }, ...ownTls(cell)]
      : [
          { name: "DATABASE_NAME", value: external.name ?? externalOwner(cell) },
          { name: "DATABASE_ROLE_PREFIX", value: `${externalOwner(cell)}_` },
          { name: "DATABASE_TLS", value: external.tls },
          optional(secretEnv("DATABASE_CA", external.secretRef.name, "ca.crt")),
        ]),
    { name: "KAFKA_BROKERS", value: kafkaBrokers(cell) },
    { name: "LOG_LEVEL", value: cell.settings.logLevel },
    // Left out for the first ones, so that a cell from before there were others is not restarted for it.
    ...(cell.credentials.generation === 0
      ? []
      : [{ name: "CREDENTIALS_GENERATION", value: String(cell.credentials.generation) }]),
  ];
}

/** Role that owns the cell's database on a server of many cells; a center's name has no "_", so no two are alike. */
export function externalOwner(cell: Pick<Cell, "name">): string {
  return `cell_${cell.name.replaceAll("-", "_")}`;
}

/** CockroachDB takes encrypted connections only, and its certificate names the Service. */
function ownTls(cell: Cell): EnvVar[] {
  if (cell.spec.database.engine !== "CockroachDB") return [];
  return [
    { name: "DATABASE_TLS", value: "VerifyFull" },
    secretEnv("DATABASE_CA", COCKROACH_CERTIFICATES, "ca.crt"),
  ];
}

function optional(variable: EnvVar): EnvVar {
  const reference = variable.valueFrom;
  if (reference === undefined || !("secretKeyRef" in reference)) return variable;
  return { ...variable, valueFrom: { secretKeyRef: { ...reference.secretKeyRef, optional: true } } };
}

function passwordOf(cell: Cell, slice: SliceName): EnvVar {
  const key = numbered(slice, cell.credentials.generation);
  return secretEnv(`DATABASE_PASSWORD_${slice.toUpperCase()}`, "database", key);
}
