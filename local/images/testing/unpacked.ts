import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../cluster/command.ts";
import type { ImageConfig } from "../archive.ts";

/** The configuration of an image in a folder. */
export interface Unpacked {
  /** The root of the container's file system. */
  readonly root: string;
  readonly config: ImageConfig;
}

interface Descriptor {
  readonly digest: string;
}

/**
 * Unpacks archives of OCI image layouts into a folder, as a container runtime would: the last archive says which layers
 * in which order, the earlier ones bring layers that it leaves out. Files of a later layer replace those of an earlier one.
 */
export async function unpackImage(archives: readonly string[], folder: string): Promise<Unpacked> {
  const layout = join(folder, "layout");
  const root = join(folder, "root");
  mkdirSync(layout, { recursive: true });
  mkdirSync(root, { recursive: true });
  for (const archive of archives) await run(["tar", "-xf", archive, "-C", layout]);
  const blob = ({ digest }: Descriptor) => join(layout, "blobs", ...digest.split(":"));
  const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const [image] = read(join(layout, "index.json")).manifests as [Descriptor];
  const manifest = read(blob(image)) as { config: Descriptor; layers: Descriptor[] };
  for (const layer of manifest.layers) await run(["tar", "-xpf", blob(layer), "-C", root]);
  return { root, config: read(blob(manifest.config)).config };
}
