import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { ClusterError } from "../cluster/errors.ts";
import { type BuiltImage, buildImage, type ImageConfig } from "./archive.ts";
import { baseEntries, USER_ID } from "./base.ts";
import { copyFile, copyFolder } from "./entries.ts";
import { type Layer, makeLayer } from "./layer.ts";
import { copyLibraries } from "./libraries.ts";
import { copyModules } from "./modules.ts";

/** Folders of the product. Local tools, benchmarks and documents stay out. */
export const SOURCE_FOLDERS = ["operator", "cell", "region", "platform", "crds"];
const APP = "app";

/** The image of the product, in two archives: what seldom changes, and the source. */
export interface CellImages {
  readonly base: BuiltImage;
  /** Needs the layers of `base`, which has to be imported first. */
  readonly cell: BuiltImage;
}

/** Makes the image of operator, slices, gateway and jobs from the checkout at `root`. */
export async function buildCellImage(root: string): Promise<CellImages> {
  const config = cellConfig();
  const runtime = await makeLayer(await runtimeEntries(root));
  const modules = await makeLayer(copyModules(root, APP));
  const base = await buildImage({ name: "cell-base", layers: [runtime, modules], config });
  const cell = await buildImage({
    name: "cell",
    layers: [...base.layers, await sourceLayer(root)],
    config,
    base,
  });
  return { base, cell };
}

/** How a container of the image starts. */
export function cellConfig(): ImageConfig {
  return {
    User: `${USER_ID}:${USER_ID}`,
    WorkingDir: `/${APP}`,
    Entrypoint: ["/usr/local/bin/node"],
    Env: [
      "PATH=/usr/local/bin:/usr/bin",
      "HOME=/tmp",
      "NODE_ENV=production",
      // On the pod's own /tmp: a container that starts again does not compile again.
      "NODE_COMPILE_CACHE=/tmp/compile-cache",
    ],
  };
}

async function runtimeEntries(root: string) {
  const link = join(root, "node_modules", "node", "bin", "node");
  if (!existsSync(link)) {
    throw new ClusterError(
      "tool-missing",
      'The npm package "node" is not installed: run "node local/setup/packages.mjs", then run again.',
    );
  }
  const node = realpathSync(link);
  const libraries = await copyLibraries([node]);
  return [...baseEntries("/tmp"), ...libraries, { ...copyFile(node, "usr/local/bin/node"), mode: 0o755 }];
}

function sourceLayer(root: string): Promise<Layer> {
  const folders = SOURCE_FOLDERS.filter((folder) => existsSync(join(root, folder)));
  const sources = folders.flatMap((folder) => copyFolder(join(root, folder), join(APP, folder), isProduct));
  return makeLayer([...sources, copyFile(join(root, "package.json"), join(APP, "package.json"))]);
}

function isProduct(path: string, isDirectory: boolean): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (isDirectory) return name !== "testing" && name !== "node_modules" && !name.startsWith(".");
  return !/\.([ie]?test\.ts|md|log)$/.test(name) && !name.startsWith(".");
}
