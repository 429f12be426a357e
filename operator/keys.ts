import type { ReconcileResult } from "../platform/kube/controller.ts";
import type { EventRecorder } from "../platform/kube/events.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import type { KubeLog } from "../platform/kube/ports.ts";
import { ANNOTATIONS, LABELS, MANAGER } from "./api/names.ts";
import type { Writer } from "./apply.ts";
import type { Chance } from "./chance.ts";
import {
  firstKeys,
  fromSecret,
  type Jwk,
  type KeyStep,
  keyStep,
  publishedIn,
  SPREAD_MS,
  toSecret,
} from "./gateway-keys.ts";
import type { Stores } from "./stores.ts";

/** Secret that a region's gateways read their key from. */
export function gatewayKeySecret(region: string): string {
  return `gateway-key-${region}`;
}

function secretOf(
  stores: Pick<Stores, "secrets">,
  namespace: string,
  region: string,
): KubeObject | undefined {
  return stores.secrets.get(`${namespace}/${gatewayKeySecret(region)}`);
}

/** Public keys of a region's gateways as its Secret lists them; undefined while there is no readable Secret. */
export function gatewayPublicKeys(
  stores: Pick<Stores, "secrets">,
  namespace: string,
  region: string,
): readonly Jwk[] | undefined {
  return publishedIn(secretOf(stores, namespace, region));
}

/**
 * Keeps the keys of a region's gateways: makes them, and changes them when the region's RoutingTable asks for it. Answers when to look
 * again; `retry` after a write that failed.
 */
export function createKeyKeeper(deps: {
  readonly namespace: string;
  readonly stores: Pick<Stores, "secrets" | "tables">;
  readonly writer: Pick<Writer, "client">;
  readonly events: EventRecorder;
  readonly log: KubeLog;
  readonly nowMs: () => number;
  readonly chance: Pick<Chance, "keyPair">;
}) {
  const { namespace, stores, writer, events, log, nowMs, chance } = deps;

  return async (region: string, signal: AbortSignal): Promise<ReconcileResult> => {
    const name = gatewayKeySecret(region);
    const table = stores.tables.get(region);
    const asked = table?.metadata.annotations?.[ANNOTATIONS.rotateCredentials];
    const secret = secretOf(stores, namespace, region);
    const found = fromSecret(secret);
    if (secret === undefined || found === undefined) {
      const { annotations, data } = toSecret(await firstKeys(asked, nowMs(), chance));
      const labels = { [LABELS.managedBy]: MANAGER, [LABELS.region]: region, [LABELS.component]: "gateway" };
      const metadata = { name, namespace, labels, annotations };
      // By create, so that a copy of the Secret that is not up to date can never lead to a second key.
      const object = { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data };
      const created = await writer.client.create(KINDS.secret, object, { signal });
      if (secret !== undefined)
        log.error(
          { region, secret: name },
          "the keys in it cannot be read: put the Secret back, or delete it",
        );
      if (created.ok || created.code === "alreadyExists") return {};
      log.warn({ region, code: created.code, error: created.message }, "the key of a region was not made");
      return { retry: true };
    }
    const step = await keyStep(found, asked, nowMs(), chance);
    if (step.kind === "rest") return {};
    if (step.kind === "wait") return { requeueAfterMs: step.ms };
    const { annotations, data } = toSecret(step.keys);
    const { resourceVersion } = secret.metadata;
    const change = { metadata: { resourceVersion, annotations }, data };
    const written = await writer.client.patch(KINDS.secret, { name, namespace }, change, { signal });
    if (!written.ok) {
      log.warn(
        { region, code: written.code, error: written.message },
        "the keys of a region were not changed",
      );
      return { retry: true };
    }
    log.info({ region, step: step.kind }, "changed the keys of a region's gateways");
    if (table !== undefined) tell(events, table, step);
    return {};
  };
}

function tell(events: EventRecorder, regarding: KubeObject, { kind }: KeyStep): void {
  const told = (reason: string, note: string) =>
    events.record({ regarding, type: "Normal", reason, action: "Rotate", note });
  if (kind === "started")
    told(
      "RotationStarted",
      `The gateways of the region sign with a new key from now on; the one before is good for ${SPREAD_MS / 60_000} more minutes.`,
    );
  if (kind === "ended") told("Rotated", "The former key of the region's gateways is worthless.");
}
