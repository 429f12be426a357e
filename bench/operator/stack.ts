import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiServer, startApiServer } from "../../local/cluster/apiserver.ts";
import { type ProcessRecord, stopProcess } from "../../local/cluster/process.ts";
import type { Report } from "../../local/cluster/report.ts";
import { buildCrds } from "../../operator/api/crd.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../../operator/api/names.ts";
import { createKubeClient, type KubeClient } from "../../platform/kube/client.ts";
import { loadClusterConfig } from "../../platform/kube/config.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { operatorKubeconfig } from "./account.ts";
import { NAMESPACE } from "./contender.ts";
import { startKwok } from "./kwok.ts";
import { must, until } from "./must.ts";

/** User agent of everything that the bench itself asks. */
export const BENCH_AGENT = "bench";

/** A fresh control plane on the loopback address, with nodes and pods that kwok pretends. */
export interface Stack {
  readonly dir: string;
  readonly server: ApiServer;
  readonly client: KubeClient;
  /** Who a contender is to the API server. */
  readonly operatorKubeconfig: string;
  /** Everything but the operator. */
  readonly processes: readonly ProcessRecord[];
  close(): Promise<void>;
}

export async function startStack(options: {
  readonly kwok: string;
  readonly centers: number;
  readonly podsPerCenter: number;
  readonly report: Report;
  readonly signal: AbortSignal;
}): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), "bench-operator-"));
  const undo: (() => Promise<unknown>)[] = [async () => rmSync(dir, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.reverse().splice(0)) await step();
  };
  try {
    const server = await startApiServer({
      dir: join(dir, "server"),
      report: options.report,
      auditLog: true,
      withScheduler: true,
      forLoad: true,
    });
    undo.push(() => server.stop());
    const loaded = await loadClusterConfig({ kubeconfigPath: server.kubeconfigPath });
    if (!loaded.ok) throw new Error(loaded.message);
    const client = createKubeClient(loaded.config, {
      log: silentLog,
      metrics: silentMetrics,
      userAgent: BENCH_AGENT,
      fieldManager: BENCH_AGENT,
    });
    undo.push(() => client.close());
    await install(client, options.signal);
    const { kwok: program, centers, podsPerCenter } = options;
    const { kubeconfigPath } = server;
    const kwok = await startKwok({ program, kubeconfigPath, client, dir, centers, podsPerCenter });
    undo.push(() => stopProcess(kwok));
    return {
      ...{ dir, server, client, close, processes: [...server.processes, kwok] },
      operatorKubeconfig: await operatorKubeconfig(server, client, dir),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function install(client: KubeClient, signal: AbortSignal): Promise<void> {
  for (const crd of buildCrds()) must(await client.apply(KINDS.customResourceDefinition, crd));
  for (const ref of [FULFILLMENT_CENTER, ROUTING_TABLE])
    await until(`Serving ${ref.plural}`, async () => (await client.list(ref)).ok, {
      deadlineMs: 60_000,
      signal,
    });
  const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } };
  must(await client.create(KINDS.namespace, namespace));
}
