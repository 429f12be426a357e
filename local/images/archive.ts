import { createHash } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { cacheDir } from "../setup/paths.ts";
import { forgetOldest, type Layer, layerStream, touch } from "./layer.ts";
import { type TarEntry, tarStream } from "./tar.ts";

/** The part of an image's configuration that we set (OCI image specification, "config"). */
export interface ImageConfig {
  readonly User: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
}

export interface ImageOptions {
  /** `<name>` of `fulfillment-cells/<name>:<hash>`. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
  /**
   * An image whose layers are the first ones of this image. They are left out of the archive, so the base has to be
   * imported before; in return an archive has kilobytes instead of hundreds of megabytes.
   */
  readonly base?: BuiltImage;
}

export interface BuiltImage {
  /** The name by which pods use it; the tag changes with any byte of the content. */
  readonly ref: string;
  /** Path of the tar that `ctr --namespace k8s.io images import` takes. */
  readonly archive: string;
  readonly layers: readonly Layer[];
}

const KEEP_ARCHIVES = 4;
const OCI = "application/vnd.oci.image";

/**
 * Writes an image as a tar: an OCI image layout, and for a complete image also the older manifest that `docker load` reads.
 * An image with the same content that is already in the cache is not written again.
 */
export async function buildImage({ name, layers, config, base }: ImageOptions): Promise<BuiltImage> {
  const configuration = blob({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config,
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
  });
  const tag = configuration.digest.slice(0, 16);
  const ref = `fulfillment-cells/${name}:${tag}`;
  const folder = join(cacheDir(), "images");
  const archive = join(folder, `${name}-${tag}.tar`);
  if (existsSync(archive)) touch(archive);
  else {
    mkdirSync(folder, { recursive: true });
    const inBase = new Set(base?.layers.map(({ digest }) => digest));
    const own = layers.filter(({ digest }) => !inBase.has(digest));
    await writeArchive(archive, archiveEntries({ ref, layers, own, configuration }));
    forgetOldest(folder, KEEP_ARCHIVES, (file) => new RegExp(`^${name}-[0-9a-f]{16}\\.tar$`).test(file));
  }
  return { ref, archive, layers };
}

interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

function blob(value: unknown): Blob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, digest: createHash("sha256").update(bytes).digest("hex") };
}

interface ArchiveParts {
  readonly ref: string;
  readonly layers: readonly Layer[];
  /** The layers that are written into the archive. */
  readonly own: readonly Layer[];
  readonly configuration: Blob;
}

function archiveEntries({ ref, layers, own, configuration }: ArchiveParts): TarEntry[] {
  const pathOf = (digest: string) => `blobs/sha256/${digest}`;
  const file = (path: string, content: Buffer): TarEntry => ({ kind: "file", path, mode: 0o644, content });
  const describe = (type: string, digest: string, size: number) => ({
    mediaType: `${OCI}.${type}`,
    digest: `sha256:${digest}`,
    size,
  });
  const manifest = blob({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: describe("config.v1+json", configuration.digest, configuration.bytes.length),
    layers: layers.map(({ digest, sizeBytes }) => describe("layer.v1.tar", digest, sizeBytes)),
  });
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...describe("manifest.v1+json", manifest.digest, manifest.bytes.length),
        // The full name, because containerd takes it as it is and the kubelet asks for the full one.
        annotations: {
          "io.containerd.image.name": `docker.io/${ref}`,
          "org.opencontainers.image.ref.name": ref,
        },
      },
    ],
  };
  const docker = [
    {
      Config: pathOf(configuration.digest),
      RepoTags: [ref],
      Layers: layers.map(({ digest }) => pathOf(digest)),
    },
  ];
  return [
    file("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    file("index.json", Buffer.from(JSON.stringify(index))),
    ...(own.length === layers.length ? [file("manifest.json", Buffer.from(JSON.stringify(docker)))] : []),
    file(pathOf(manifest.digest), manifest.bytes),
    file(pathOf(configuration.digest), configuration.bytes),
    ...own.map(
      (layer): TarEntry => ({
        kind: "file",
        path: pathOf(layer.digest),
        mode: 0o644,
        stream: () => layerStream(layer),
        sizeBytes: layer.sizeBytes,
      }),
    ),
  ];
}

/** A name that is there is a whole archive: it is written beside and renamed. */
async function writeArchive(archive: string, entries: readonly TarEntry[]): Promise<void> {
  forgetDead(dirname(archive));
  const partial = `${archive}.partial-${process.pid}`;
  try {
    await pipeline(
      Readable.from(tarStream(entries), { objectMode: false, highWaterMark: 1024 * 1024 }),
      createWriteStream(partial),
    );
    renameSync(partial, archive);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** Removes what killed runs left half-written; what a running one writes stays. */
function forgetDead(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = /\.partial-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(folder, name), { force: true });
  }
}
