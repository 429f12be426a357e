import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createApi } from "../../../local/cluster/api.ts";
import { type ApiServer, startApiServer } from "../../../local/cluster/apiserver.ts";
import { silentReport } from "../../../local/cluster/report.ts";
import { createKubeClient, type KubeClient } from "../client.ts";
import { type ClusterConfig, loadClusterConfig } from "../config.ts";
import { type KubeMetrics, silentLog, silentMetrics } from "../ports.ts";
import { compactEtcd } from "./etcd.ts";

/** One request in the API server's own log. */
export interface AuditEntry {
  /** A watch has two entries, one when it opens and one when it has ended. */
  readonly stage: "ResponseStarted" | "ResponseComplete" | "Panic";
  readonly verb: string;
  readonly userAgent?: string;
  readonly requestURI: string;
  readonly objectRef?: { readonly resource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
}

/** A real API server without controllers that belongs to one test file. */
export interface RealServer {
  readonly server: ApiServer;
  readonly kubeconfigPath: string;
  readonly config: ClusterConfig;
  /** A client of its own name: both its user agent and its field manager. */
  client(name: string): KubeClient;
  /** Everything that was asked so far by the client of this name, in order. */
  asked(userAgent: string): AuditEntry[];
  /** What the API server says of itself, in Prometheus' text format. */
  metrics(): Promise<string>;
  /** Makes the database forget every state of the past, as it does by itself every few minutes. */
  compact(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server in a folder of its own; `flags` make it like another version or configuration. */
export async function startRealServer(options: { flags?: readonly string[] } = {}): Promise<RealServer> {
  const dir = mkdtempSync(join(tmpdir(), "kube-"));
  const server = await startApiServer({
    dir: join(dir, "server"),
    report: silentReport(),
    withControllers: false,
    auditLog: true,
    ...options,
  });
  const { kubeconfigPath } = server;
  const loaded = await loadClusterConfig({ kubeconfigPath });
  if (!loaded.ok) throw new Error(loaded.message);
  const clients: KubeClient[] = [];
  return {
    server,
    kubeconfigPath,
    config: loaded.config,
    client(name) {
      const silent = { log: silentLog, metrics: silentMetrics };
      const client = createKubeClient(loaded.config, { ...silent, userAgent: name, fieldManager: name });
      clients.push(client);
      return client;
    },
    asked: (userAgent) =>
      readFileSync(server.auditLogPath, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as AuditEntry)
        .filter((entry) => entry.userAgent === userAgent),
    metrics: async () => (await createApi(server.url, dirname(kubeconfigPath)).call("GET", "/metrics")).body,
    compact: () => compactEtcd(server),
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Counts what a reflector says of itself, by the metric's name and the labels' values. */
export function countingMetrics(): KubeMetrics & { count(name: string, ...values: string[]): number } {
  const counts = new Map<string, number>();
  return {
    ...silentMetrics,
    counter: (name) => ({
      inc(labels = {}, value = 1) {
        const key = [name, ...Object.values(labels)].join(" ");
        counts.set(key, (counts.get(key) ?? 0) + value);
      },
    }),
    count: (name, ...values) => counts.get([name, ...values].join(" ")) ?? 0,
  };
}
