import { request } from "node:https";
import { adminCredentials } from "./certificates.ts";
import { ClusterError } from "./errors.ts";

/** A Kubernetes object as far as the launcher looks into it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
}

/** The few calls that the launcher makes before any other client can run. */
export interface Api {
  call(method: string, path: string, body?: unknown): Promise<ApiAnswer>;
  get<T>(path: string): Promise<T>;
  /** Server-side apply of objects of the kinds in PLURALS. */
  apply(objects: readonly KubeObject[]): Promise<void>;
  /** A token by which a ServiceAccount says who it is, as pods get one; good for an hour unless said otherwise. */
  tokenOf(account: { readonly namespace: string; readonly name: string }, seconds?: number): Promise<string>;
}

const CALL_BOUND_MS = 10_000;

const PLURALS: Readonly<Record<string, string>> = {
  Namespace: "namespaces",
  ServiceAccount: "serviceaccounts",
  ConfigMap: "configmaps",
  Service: "services",
  Deployment: "deployments",
  StorageClass: "storageclasses",
  ClusterRole: "clusterroles",
  ClusterRoleBinding: "clusterrolebindings",
};

/** A client of the API server at `apiUrl` with the administrator's certificate from `certsDir`. */
export function createApi(apiUrl: string, certsDir: string): Api {
  const credentials = adminCredentials(certsDir);
  const call = (method: string, path: string, body?: unknown): Promise<ApiAnswer> =>
    new Promise((resolve, reject) => {
      const type = method === "PATCH" ? "application/apply-patch+yaml" : "application/json";
      const headers = body === undefined ? {} : { "content-type": type };
      const options = { method, headers, ...credentials, agent: false, timeout: CALL_BOUND_MS };
      const sent = request(new URL(path, apiUrl), options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
        answer.on("error", reject);
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer from ${apiUrl}${path}`)));
      sent.on("error", reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return {
    call,
    async get<T>(path: string): Promise<T> {
      const answer = await call("GET", path);
      if (answer.status !== 200) throw refused("GET", path, answer);
      return JSON.parse(answer.body) as T;
    },
    async apply(objects) {
      for (const object of objects) {
        const path = `${pathOf(object)}?fieldManager=local-cluster&force=true`;
        const answer = await call("PATCH", path, object);
        if (answer.status >= 300) throw refused("apply", path, answer);
      }
    },
    async tokenOf({ namespace, name }, seconds = 3_600) {
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
      const kind = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" };
      const answer = await call("POST", path, { ...kind, spec: { expirationSeconds: seconds } });
      if (answer.status >= 300) throw refused("POST", path, answer);
      return (JSON.parse(answer.body) as { status: { token: string } }).status.token;
    },
  };
}

function refused(verb: string, path: string, answer: ApiAnswer): ClusterError {
  return new ClusterError(
    "command-failed",
    `${verb} ${path}: the API server answered ${answer.status}: ${answer.body.slice(0, 500)}`,
  );
}

function pathOf(object: KubeObject): string {
  const plural = PLURALS[object.kind];
  if (plural === undefined) throw new TypeError(`no plural is known for ${object.kind}`);
  const group = object.apiVersion.includes("/") ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`;
  const namespace = object.metadata.namespace === undefined ? "" : `/namespaces/${object.metadata.namespace}`;
  return `${group}${namespace}/${plural}/${object.metadata.name}`;
}
