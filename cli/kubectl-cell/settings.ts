import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { type OperatorSettings, settingsSchema } from "../../operator/api/settings.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import type { Session } from "./session.ts";

export interface KnownSettings {
  readonly settings: OperatorSettings;
  /** Where they come from, or what is assumed instead, as a sentence. */
  readonly note?: string;
}

export const DEFAULT_OPERATOR_NAMESPACE = "fulfillment-cells";
const PROGRAM = "operator/main.ts";

interface PodTemplate {
  spec?: { containers?: { args?: string[]; command?: string[]; env?: { name: string; value?: string }[] }[] };
}

/**
 * Settings of the operator that will carry the change out, off its Deployment. Where that cannot be read, words stand
 * for them, and the note says so.
 */
export async function operatorSettings(
  session: Session,
  namespace: string | undefined,
  center: FulfillmentCenter | undefined,
): Promise<KnownSettings> {
  const where = namespace === undefined ? {} : { namespace };
  const selector = { labelSelector: "app.kubernetes.io/name=fulfillment-cells" };
  const inAll = await session.client.list(KINDS.deployment, { ...where, ...selector });
  const listed =
    inAll.ok || namespace !== undefined
      ? inAll
      : await session.client.list(KINDS.deployment, { namespace: DEFAULT_OPERATOR_NAMESPACE, ...selector });
  const found = listed.ok ? listed.value.items.find((one) => environmentOf(one) !== undefined) : undefined;
  const text = namespace === undefined ? "in any namespace" : `in namespace ${namespace}`;
  if (found === undefined) {
    const why = listed.ok ? `there is no operator ${text}` : `the Deployments ${text} may not be read`;
    return assumedSettings(namespace, center, why);
  }
  const parsed = settingsSchema.safeParse({
    ...environmentOf(found),
    POD_NAMESPACE: found.metadata.namespace,
  });
  if (parsed.success) return { settings: parsed.data };
  const missing = parsed.error.issues.map(({ path }) => path.join(".")).join(", ");
  return assumedSettings(
    found.metadata.namespace,
    center,
    `Deployment ${found.metadata.namespace}/${found.metadata.name} does not say ${missing} in plain text`,
  );
}

/** Environment of the container that runs the operator; undefined for any other Deployment. */
export function environmentOf(deployment: KubeObject): Record<string, string> | undefined {
  const { template } = (deployment.spec ?? {}) as { template?: PodTemplate };
  const container = template?.spec?.containers?.find(({ args = [], command = [] }) =>
    [...command, ...args].includes(PROGRAM),
  );
  if (container === undefined) return undefined;
  return Object.fromEntries(
    (container.env ?? []).flatMap(({ name, value }) => (value ? [[name, value]] : [])),
  );
}

function assumedSettings(
  namespace: string | undefined,
  center: FulfillmentCenter | undefined,
  why: string,
): KnownSettings {
  const settings = settingsSchema.parse({
    POD_NAMESPACE: namespace ?? DEFAULT_OPERATOR_NAMESPACE,
    CELL_IMAGE: center?.status?.release?.current ?? "(the operator's image)",
    POSTGRES_IMAGE: "(the operator's PostgreSQL image)",
    REDIS_IMAGE: "(the operator's Redis image)",
    COCKROACH_IMAGE: "(the operator's CockroachDB image)",
    KAFKA_BROKERS: "the-operators-brokers:9092",
    PSP_URL: "http://the-operators-processor",
  });
  return {
    settings,
    note: `The operator's settings are assumed to stay as they are, because ${why}: name its namespace with --operator-namespace.`,
  };
}
