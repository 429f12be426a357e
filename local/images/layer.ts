import { createHash } from "node:crypto";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../setup/paths.ts";
import { withFolders } from "./entries.ts";
import { type TarEntry, tarSize, tarStream } from "./tar.ts";

/** One layer of an image: not compressed, so its digest is its "diff id" too (OCI image specification). */
export interface Layer {
  readonly entries: readonly TarEntry[];
  /** Hexadecimal SHA-256 of the tar. */
  readonly digest: string;
  readonly sizeBytes: number;
}

const MAX_KNOWN_DIGESTS = 200;

/** Makes a layer of these entries. Its digest is kept by what stat(2) says about the files, so that nothing is read twice. */
export async function makeLayer(entries: readonly TarEntry[]): Promise<Layer> {
  const all = withFolders(entries);
  const sizeBytes = tarSize(all);
  const folder = join(cacheDir(), "images", "digests");
  const path = join(folder, fingerprint(all));
  const known = readDigest(path);
  if (known) return { entries: all, digest: known, sizeBytes };
  const hash = createHash("sha256");
  for await (const chunk of tarStream(all)) hash.update(chunk);
  const digest = hash.digest("hex");
  mkdirSync(folder, { recursive: true });
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, digest);
  renameSync(partial, path);
  forgetOldest(folder, MAX_KNOWN_DIGESTS);
  return { entries: all, digest, sizeBytes };
}

/** The bytes of the layer; throws when a file changed since the digest was taken. */
export async function* layerStream(layer: Layer): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  for await (const chunk of tarStream(layer.entries)) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest("hex") !== layer.digest) {
    throw new Error("A file changed while an image was made from it: run again.");
  }
}

/** Removes the files that were used longest ago, beyond `count`. */
export function forgetOldest(
  folder: string,
  count: number,
  isOne: (name: string) => boolean = () => true,
): void {
  const files = readdirSync(folder)
    .filter(isOne)
    .map((name) => ({
      path: join(folder, name),
      info: statSync(join(folder, name), { throwIfNoEntry: false }),
    }))
    .sort((a, b) => (b.info?.atimeMs ?? 0) - (a.info?.atimeMs ?? 0));
  for (const { path } of files.slice(count)) rmSync(path, { force: true });
}

/** Marks a file of the cache as used now. The time of its last change stays: by that one others know it again. */
export function touch(path: string): void {
  utimesSync(path, new Date(), statSync(path).mtime);
}

function readDigest(path: string): string | undefined {
  try {
    const digest = readFileSync(path, "utf8");
    touch(path);
    return /^[0-9a-f]{64}$/.test(digest) ? digest : undefined;
  } catch {
    return undefined;
  }
}

/** The change time of a file can not be set back, so the same numbers mean the same content. */
function fingerprint(entries: readonly TarEntry[]): string {
  const hash = createHash("sha256");
  for (const entry of entries) {
    const { path, kind, mode, uid = 0, gid = 0 } = entry;
    const parts: unknown[] = [path, kind, mode, uid, gid];
    if (entry.kind === "symlink") parts.push(entry.target);
    if (entry.kind === "file") {
      if ("stream" in entry) throw new TypeError("a layer is made of files and buffers");
      if ("content" in entry) parts.push(createHash("sha256").update(entry.content).digest("hex"));
      else {
        const { dev, ino, size, mtimeNs, ctimeNs } = statSync(entry.source, { bigint: true });
        parts.push(`${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`);
      }
    }
    hash.update(`${JSON.stringify(parts)}\n`);
  }
  return hash.digest("hex");
}
