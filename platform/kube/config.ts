/** Where the API server is and how to prove who we are. `ca`, `cert` and `key` are PEM text. */
export interface ClusterConfig {
  /** Base URL without a trailing slash. */
  readonly server: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly insecureSkipVerify?: boolean;
  /** Namespace of the current context, or of the pod when in a cluster. */
  readonly namespace: string;
  /** Current bearer token; asked before each request, cached by the provider. Absent with client certificates. */
  token?(): Promise<string | undefined>;
  /** CA file to read again when it changes; only set in a cluster. */
  readonly caFile?: string;
}

/**
 * Reads the connection from KUBECONFIG, then from the pod's service account, then from ~/.kube/config.
 * Fails with one sentence when none is there.
 */
export declare function loadClusterConfig(options?: {
  kubeconfigPath?: string;
  context?: string;
}): { ok: true; config: ClusterConfig } | { ok: false; code: "noCluster"; message: string };
