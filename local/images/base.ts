import { existsSync } from "node:fs";
import { copyFile, textFile } from "./entries.ts";
import type { TarEntry } from "./tar.ts";

/** User and group of every container of ours; the pods of the operator ask for the same. */
export const USER_ID = 10_001;

const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";

/** What every image holds: the folders of a Debian system, one user who is not root, certificates, an open /tmp. */
export function baseEntries(home: string): TarEntry[] {
  const link = (path: string): TarEntry => ({ kind: "symlink", path, mode: 0o777, target: `usr/${path}` });
  const folder = (path: string, mode = 0o755): TarEntry => ({ kind: "directory", path, mode });
  return [
    ...["bin", "sbin", "lib", "lib64"].map(link),
    ...["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "proc", "sys", "run", "var/tmp"].map((path) =>
      folder(path),
    ),
    folder("tmp", 0o1777),
    textFile(
      "etc/passwd",
      `root:x:0:0:root:/:/usr/sbin/nologin\ncells:x:${USER_ID}:${USER_ID}:cells:${home}:/usr/sbin/nologin\n`,
    ),
    textFile("etc/group", `root:x:0:\ncells:x:${USER_ID}:\n`),
    { kind: "symlink", path: "var/run", mode: 0o777, target: "../run" },
    // A pod gets its own; outside of one, the name must still be known.
    textFile("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    textFile("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ...(existsSync(CERTIFICATES) ? [copyFile(CERTIFICATES, CERTIFICATES.slice(1))] : []),
  ];
}
