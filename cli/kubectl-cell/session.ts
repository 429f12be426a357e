import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { FULFILLMENT_CENTER } from "../../operator/api/names.ts";
import { type CallOptions, createKubeClient, type KubeClient } from "../../platform/kube/client.ts";
import { type ClusterConfig, loadClusterConfig } from "../../platform/kube/config.ts";
import type { ObjectName, ResourceRef } from "../../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { CommandError, explain } from "./failure.ts";
import { nearest } from "./near.ts";
import type { Terminal } from "./terminal.ts";

/** Options that every command has, as kubectl names them. */
export interface ConnectionOptions {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly as?: string | undefined;
}

/** One command's way to the cluster. */
export interface Session {
  readonly client: KubeClient;
  readonly server: string;
  readonly terminal: Terminal;
  readonly nowMs: () => number;
  close(): Promise<void>;
}

/** Field manager and user agent of what the plugin writes. */
export const PLUGIN = "kubectl-cell";
/** The first call decides whether the cluster can be reached; nobody wants to wait half a minute for a wrong address. */
const FIRST_CALL: CallOptions = { attempts: 2, timeoutMs: 10_000 };

/** Connects as kubectl would: --kubeconfig, else KUBECONFIG, else ~/.kube/config. */
export async function openSession(options: ConnectionOptions, terminal: Terminal): Promise<Session> {
  const loaded = await loadClusterConfig({
    ...(options.kubeconfig === undefined ? {} : { kubeconfigPath: options.kubeconfig }),
    ...(options.context === undefined ? {} : { context: options.context }),
  });
  if (!loaded.ok)
    throw new CommandError(`${loaded.message.charAt(0).toUpperCase()}${loaded.message.slice(1)}.`);
  const config = options.as === undefined ? loaded.config : impersonating(loaded.config, options.as);
  const client = createKubeClient(config, {
    log: silentLog,
    metrics: silentMetrics,
    userAgent: PLUGIN,
    fieldManager: PLUGIN,
  });
  return { client, server: config.server, terminal, nowMs: Date.now, close: () => client.close() };
}

function impersonating(config: ClusterConfig, user: string): ClusterConfig {
  return {
    ...config,
    async credentials(request) {
      const own = await config.credentials(request);
      return { ...own, headers: { ...own.headers, "impersonate-user": user } };
    },
  };
}

/** The named center, or undefined; the first call of a command, so it also tells a wrong cluster from an empty one. */
export async function findCenter(session: Session, name: string): Promise<FulfillmentCenter | undefined> {
  const found = await session.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }, FIRST_CALL);
  if (found.ok) return found.value;
  if (found.code === "notFound") {
    // The answer for an unknown kind and for an unknown name is the same code: the list knows which it is.
    await allCenters(session);
    return undefined;
  }
  throw new CommandError(explain(found, `read FulfillmentCenter ${name}`, session.server));
}

/** The named center; without it an error that suggests a name. */
export async function centerNamed(session: Session, name: string): Promise<FulfillmentCenter> {
  const found = await findCenter(session, name);
  if (found !== undefined) return found;
  const names = (await allCenters(session)).map(({ metadata }) => metadata.name);
  throw new CommandError(unknownCenter(name, names));
}

/** Every center, by name. */
export async function allCenters(session: Session): Promise<FulfillmentCenter[]> {
  const listed = await session.client.listAll<FulfillmentCenter>(FULFILLMENT_CENTER, FIRST_CALL);
  if (listed.ok) return listed.value.items.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  if (listed.code === "notFound")
    throw new CommandError(
      `The cluster ${session.server} knows no FulfillmentCenters: install the chart with its CRDs, or choose another --context.`,
    );
  throw new CommandError(explain(listed, "list FulfillmentCenters", session.server));
}

/** Reads one object; undefined when it is not there or the caller may not see it. */
export async function visible<T extends FulfillmentCenter | { kind: string }>(
  session: Session,
  ref: ResourceRef,
  name: ObjectName,
): Promise<T | undefined> {
  const found = await session.client.get(ref, name);
  if (found.ok) return found.value as unknown as T;
  if (found.code === "notFound" || found.code === "forbidden") return undefined;
  throw new CommandError(explain(found, `read ${ref.kind} ${name.name}`, session.server));
}

export function unknownCenter(name: string, names: readonly string[]): string {
  if (names.length === 0)
    return `There is no FulfillmentCenter ${name}, and none at all in this cluster: make one with kubectl apply, or choose another --context.`;
  const near = nearest(name, names);
  const hint =
    near.length > 0
      ? `did you mean ${near.join(" or ")}?`
      : `kubectl cell status lists the ${names.length} that are there.`;
  return `There is no FulfillmentCenter ${name}: ${hint}`;
}
