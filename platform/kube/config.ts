import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { rereading } from "./credentials.ts";
import { type KubeTime, systemTime } from "./ports.ts";

/** Proof of who we are and whom we trust; `ca`, `cert` and `key` are PEM text. */
export interface Credentials {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Extra request headers: Authorization, Impersonate-User. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the API server is. */
export interface ClusterConfig {
  /** Base URL without a trailing slash. */
  readonly server: string;
  readonly serverName?: string;
  readonly insecureSkipVerify?: boolean;
  /** Namespace of the current context, or of the pod when in a cluster; "default" when neither says. */
  readonly namespace: string;
  /** Credentials of this moment. Cached by the provider; `fresh` makes it read its source again (after a 401). */
  credentials(options?: { fresh?: boolean }): Promise<Credentials>;
}

export type ClusterConfigResult =
  | { readonly ok: true; readonly config: ClusterConfig }
  | { readonly ok: false; readonly code: "noCluster"; readonly message: string };

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Finds the API server: the given kubeconfig, else those of KUBECONFIG (what the first of them says holds), else the pod's service account, else
 * ~/.kube/config. `context` chooses another context of the kubeconfig.
 */
export async function loadClusterConfig(
  options: { kubeconfigPath?: string; context?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ClusterConfigResult> {
  const env = options.env ?? process.env;
  const named =
    options.kubeconfigPath === undefined
      ? (env.KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "" && existsSync(path))
      : [options.kubeconfigPath];
  if (named.length > 0) return fromKubeconfig(named, options.context);
  if (env.KUBERNETES_SERVICE_HOST !== undefined && existsSync(join(SERVICE_ACCOUNT, "token")))
    return {
      ok: true,
      config: podConfig(SERVICE_ACCOUNT, env.KUBERNETES_SERVICE_HOST, env.KUBERNETES_SERVICE_PORT),
    };
  const own = join(homedir(), ".kube", "config");
  if (existsSync(own)) return fromKubeconfig([own], options.context);
  return noCluster("no Kubernetes API server is known: set KUBECONFIG to a kubeconfig file");
}

function noCluster(message: string): ClusterConfigResult {
  return { ok: false, code: "noCluster", message };
}

/**
 * The connection of a pod. Reads token and CA from the mounted folder again when they are older than a
 * minute, since the kubelet rotates them.
 */
export function podConfig(
  folder: string,
  host: string,
  port = "443",
  time: KubeTime = systemTime,
): ClusterConfig {
  const bracketed = host.includes(":") ? `[${host}]` : host;
  const read = (): Credentials => ({
    ca: readFileSync(join(folder, "ca.crt"), "utf8"),
    headers: { authorization: `Bearer ${readFileSync(join(folder, "token"), "utf8").trim()}` },
  });
  const namespaceFile = join(folder, "namespace");
  return {
    server: `https://${bracketed}:${port}`,
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, "utf8").trim() : "default",
    credentials: rereading(read, time),
  };
}

async function fromKubeconfig(
  paths: readonly string[],
  context: string | undefined,
): Promise<ClusterConfigResult> {
  const [only, ...more] = paths;
  // Both are loaded only here: a pod has no kubeconfig and needs no YAML.
  const { plainConfig } = await import("./kubeconfig.ts");
  const plain = only === undefined || more.length > 0 ? undefined : await plainConfig(only, context);
  if (plain !== undefined) return { ok: true, config: plain };
  // This package costs some 80 MB of memory and half a second.
  const { KubeConfig } = await import("@kubernetes/client-node");
  const kubeconfig = new KubeConfig();
  const path = paths.join(delimiter);
  for (const one of paths) {
    const part = new KubeConfig();
    try {
      part.loadFromFile(one);
    } catch (error) {
      return noCluster(
        `the kubeconfig ${one} cannot be read (${(error as Error).message}): check the path and the YAML`,
      );
    }
    kubeconfig.clusters = joined(kubeconfig.clusters, part.clusters);
    kubeconfig.users = joined(kubeconfig.users, part.users);
    kubeconfig.contexts = joined(kubeconfig.contexts, part.contexts);
    kubeconfig.currentContext ||= part.currentContext;
  }
  if (context !== undefined) kubeconfig.setCurrentContext(context);
  const cluster = kubeconfig.getCurrentCluster();
  if (cluster === null)
    return noCluster(
      `the kubeconfig ${path} has no cluster for context "${kubeconfig.currentContext}": choose another context`,
    );
  if (cluster.proxyUrl)
    return noCluster(
      `the kubeconfig ${path} asks for the proxy ${cluster.proxyUrl}, which is not supported: use a direct address`,
    );
  return {
    ok: true,
    config: {
      server: cluster.server.replace(/\/+$/, ""),
      ...(cluster.tlsServerName ? { serverName: cluster.tlsServerName } : {}),
      insecureSkipVerify: cluster.skipTLSVerify === true,
      namespace: kubeconfig.getContextObject(kubeconfig.currentContext)?.namespace ?? "default",
      credentials: kubeconfigCredentials(kubeconfig),
    },
  };
}

/** Entries of the first list, and those of the second whose names it does not have. */
function joined<T extends { readonly name: string }>(
  first: readonly T[] = [],
  second: readonly T[] = [],
): T[] {
  return [...first, ...second.filter(({ name }) => !first.some((known) => known.name === name))];
}

interface CredentialSource {
  applyToHTTPSOptions(options: object): Promise<void>;
}

/** Asks the kubeconfig's own authenticators (exec plugins, token files, OIDC). */
function kubeconfigCredentials(kubeconfig: CredentialSource): ClusterConfig["credentials"] {
  return rereading(async () => {
    const options: {
      ca?: Buffer;
      cert?: Buffer;
      key?: Buffer;
      auth?: string;
      headers?: Record<string, string>;
    } = {};
    await kubeconfig.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {}))
      headers[name.toLowerCase()] = String(value);
    if (options.auth !== undefined)
      headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
    return {
      ...(options.ca === undefined ? {} : { ca: options.ca.toString() }),
      ...(options.cert === undefined ? {} : { cert: options.cert.toString() }),
      ...(options.key === undefined ? {} : { key: options.key.toString() }),
      headers,
    };
  }, systemTime);
}
