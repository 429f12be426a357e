import { readFileSync } from "node:fs";
import { request } from "node:https";
import { dirname, join } from "node:path";
import { json } from "node:stream/consumers";
import type { ApiServer } from "../../../local/cluster/apiserver.ts";

/** Compacts the database of an API server at its newest revision: older states can be neither read nor watched. */
export async function compactEtcd(server: ApiServer): Promise<void> {
  const ask = etcdOf(server);
  const newest = (await ask("/v3/kv/range", { key: "AA==" })) as { header: { revision: string } };
  await ask("/v3/kv/compaction", { revision: newest.header.revision, physical: true });
}

/** etcd's JSON gateway, with the certificate that the API server uses. */
function etcdOf(server: ApiServer): (path: string, body: object) => Promise<unknown> {
  const certs = dirname(server.kubeconfigPath);
  const read = (file: string) => readFileSync(join(certs, file));
  const [pid = 0] = server.pids;
  const flags = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\u0000");
  const url = flags.find((flag) => flag.startsWith("--listen-client-urls="))?.split("=")[1];
  if (url === undefined) throw new Error("the first process of the API server is not its database");
  const tls = { ca: read("etcd-ca.crt"), cert: read("etcd.crt"), key: read("etcd.key") };
  return (path, body) =>
    new Promise((resolve, reject) => {
      const call = request(`${url}${path}`, { method: "POST", timeout: 10_000, ...tls }, (response) => {
        json(response).then((answer) => {
          if (response.statusCode === 200) resolve(answer);
          else reject(new Error(`etcd refused ${path}: ${JSON.stringify(answer)}`));
        }, reject);
      });
      call.on("error", reject);
      call.end(JSON.stringify(body));
    });
}
