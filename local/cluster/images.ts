import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { cacheDir } from "../setup/paths.ts";
import { run } from "./command.ts";

/** An image that consists of one static program. */
export interface ProgramImage {
  readonly ref: string;
  /** Path of the docker-archive file. */
  readonly archive: string;
}

/**
 * Makes an image of one program, as an archive that containerd imports: one layer, its configuration and a manifest
 * (Docker image specification v1.2). Kept by the content of the program.
 */
export async function programImage(program: string): Promise<ProgramImage> {
  const name = basename(program);
  const hash = createHash("sha256").update(readFileSync(program)).digest("hex").slice(0, 16);
  const ref = `fulfillment-cells/${name}:${hash}`;
  const folder = join(cacheDir(), "images");
  const archive = join(folder, `${name}-${hash}.tar`);
  if (existsSync(archive)) return { ref, archive };
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, "partial-"));
  try {
    await writeArchive(work, program, ref);
    renameSync(join(work, "image.tar"), archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return { ref, archive };
}

async function writeArchive(work: string, program: string, ref: string): Promise<void> {
  const name = basename(program);
  const root = join(work, "root");
  mkdirSync(root);
  copyFileSync(program, join(root, name));
  const plain = ["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  await run([...plain, "-cf", join(work, "layer.tar"), "-C", root, name]);
  const layer = createHash("sha256")
    .update(readFileSync(join(work, "layer.tar")))
    .digest("hex");
  const config = JSON.stringify({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Entrypoint: [`/${name}`], User: "65534:65534" },
    rootfs: { type: "layers", diff_ids: [`sha256:${layer}`] },
  });
  const configFile = `${createHash("sha256").update(config).digest("hex")}.json`;
  writeFileSync(join(work, configFile), config);
  writeFileSync(
    join(work, "manifest.json"),
    JSON.stringify([{ Config: configFile, RepoTags: [ref], Layers: ["layer.tar"] }]),
  );
  await run([...plain, "-cf", join(work, "image.tar"), "-C", work, "manifest.json", configFile, "layer.tar"]);
}
