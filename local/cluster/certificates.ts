import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";

export interface CertificateRequest {
  /** The multi-call executable. */
  readonly kubernetes: string;
  /** Folder that gets every key, certificate and kubeconfig. Emptied first. */
  readonly dir: string;
  /** https://host:port of the API server. */
  readonly apiUrl: string;
  readonly nodeName: string;
  /** IP addresses on which the API server and the kubelet answer. */
  readonly addresses: readonly string[];
}

/** Makes the authorities, certificates, keys and kubeconfigs of a cluster. They are valid for a year. */
export async function makeCertificates(request: CertificateRequest): Promise<void> {
  rmSync(request.dir, { recursive: true, force: true });
  const addresses = request.addresses.join(",");
  await run([
    ...[request.kubernetes, "certs", "--dir", request.dir, "--server", request.apiUrl],
    ...["--node", request.nodeName, "--addresses", addresses],
  ]);
}

/** What a client needs to be let in. */
export interface ClientCredentials {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** The administrator's credentials from a folder made by `makeCertificates`. */
export function adminCredentials(dir: string): ClientCredentials {
  const read = (file: string): Buffer => readFileSync(join(dir, file));
  return { ca: read("ca.crt"), cert: read("admin.crt"), key: read("admin.key") };
}
