import type { ConnectionOptions } from "node:tls";

/** How sure a client wants to be of the server: encrypted only, of its authority, or of its name as well. */
export const TLS_MODES = ["Disable", "Require", "VerifyCA", "VerifyFull"] as const;
export type TlsMode = (typeof TLS_MODES)[number];

export interface SqlTls {
  readonly mode: TlsMode;
  /** PEM of the authorities that count; default: those of the system. */
  readonly ca?: string | undefined;
}

/** libpq's names of the modes, as URLs carry them. */
const SSL_MODES: Readonly<Record<string, TlsMode>> = {
  disable: "Disable",
  require: "Require",
  "verify-ca": "VerifyCA",
  "verify-full": "VerifyFull",
};

/** The mode that the `sslmode` of a database URL asks for; undefined when it says none that we know. */
export function tlsModeOfUrl(url: string): TlsMode | undefined {
  const asked = new URL(url).searchParams.get("sslmode");
  return asked === null ? undefined : SSL_MODES[asked];
}

/** What the driver wants: false for a plain connection. */
export function sslOptions(tls: SqlTls | undefined, host: string): ConnectionOptions | false {
  if (tls === undefined || tls.mode === "Disable") return false;
  if (tls.mode === "Require") return { rejectUnauthorized: false };
  const ca = tls.ca === undefined || tls.ca === "" ? {} : { ca: tls.ca };
  if (tls.mode === "VerifyCA") return { ...ca, checkServerIdentity: () => undefined };
  // Named besides the socket: an address is checked against the certificate too.
  return { ...ca, host };
}
