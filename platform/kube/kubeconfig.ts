import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import * as z from "zod";
import type { ClusterConfig, Credentials } from "./config.ts";
import { rereading } from "./credentials.ts";
import { type KubeTime, systemTime } from "./ports.ts";

const text = z.string().min(1);
const clusterSchema = z.strictObject({
  server: z.url({ protocol: /^https?$/ }),
  "certificate-authority": text.optional(),
  "certificate-authority-data": text.optional(),
  "insecure-skip-tls-verify": z.boolean().optional(),
  "tls-server-name": text.optional(),
  extensions: z.unknown().optional(),
});
const userSchema = z.strictObject({
  "client-certificate": text.optional(),
  "client-certificate-data": text.optional(),
  "client-key": text.optional(),
  "client-key-data": text.optional(),
  token: text.optional(),
  tokenFile: text.optional(),
  extensions: z.unknown().optional(),
});
const named = <T extends z.ZodType>(name: string, inner: T) =>
  z.array(z.looseObject({ name: text, [name]: inner })).max(10_000);
const fileSchema = z.looseObject({
  "current-context": z.string().optional(),
  clusters: named("cluster", z.unknown()),
  users: named("user", z.unknown()),
  contexts: named("context", z.unknown()),
});
const contextSchema = z.looseObject({ cluster: text, user: text, namespace: text.optional() });

/**
 * What a kubeconfig says itself: an address, certificates or a token, as text or in files. Undefined for everything else,
 * which takes the library: programs that hand out credentials, OIDC, impersonation, proxies, and mistakes to be named.
 */
export async function plainConfig(
  path: string,
  asked: string | undefined,
  time: KubeTime = systemTime,
): Promise<ClusterConfig | undefined> {
  const [document, ...more] = await documentsOf(path);
  const file = fileSchema.safeParse(more.length > 0 ? undefined : document);
  if (!file.success) return undefined;
  const { clusters, users, contexts } = file.data;
  const find = (list: readonly Record<string, unknown>[], name: string | undefined, what: string) =>
    list.find((one) => one.name === name)?.[what];
  const context = contextSchema.safeParse(
    find(contexts, asked ?? file.data["current-context"], "context"),
  ).data;
  const cluster = clusterSchema.safeParse(find(clusters, context?.cluster, "cluster")).data;
  const user = userSchema.safeParse(find(users, context?.user, "user")).data;
  if (context === undefined || cluster === undefined || user === undefined) return undefined;
  const folder = dirname(path);
  const pem = (name: string | undefined, data: string | undefined) =>
    data !== undefined
      ? Buffer.from(data, "base64").toString("utf8")
      : name === undefined
        ? undefined
        : readFileSync(resolve(folder, name), "utf8");
  const read = (): Credentials => {
    const ca = pem(cluster["certificate-authority"], cluster["certificate-authority-data"]);
    const cert = pem(user["client-certificate"], user["client-certificate-data"]);
    const key = pem(user["client-key"], user["client-key-data"]);
    const token =
      user.tokenFile === undefined
        ? user.token
        : readFileSync(resolve(folder, user.tokenFile), "utf8").trim();
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    };
  };
  return {
    server: cluster.server.replace(/\/+$/, ""),
    ...(cluster["tls-server-name"] === undefined ? {} : { serverName: cluster["tls-server-name"] }),
    insecureSkipVerify: cluster["insecure-skip-tls-verify"] === true,
    namespace: context.namespace ?? "default",
    credentials: rereading(read, time),
  };
}

async function documentsOf(path: string): Promise<unknown[]> {
  try {
    const text = readFileSync(path, "utf8");
    // JSON is YAML that programs write, and needs no parser to be loaded.
    if (text.startsWith("{")) return [JSON.parse(text)];
    const { parseYaml } = await import("../yaml.ts");
    return parseYaml(text);
  } catch {
    return [];
  }
}
