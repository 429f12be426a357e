import { existsSync, lstatSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { tryRun } from "../cluster/command.ts";
import { copyFile, merged } from "./entries.ts";
import type { TarEntry } from "./tar.ts";

/**
 * The shared libraries of these programs as ldd(1) resolves them on this machine, and the loader. They are put where the
 * loader looks without a cache (ld.so(8)): what comes from a place known only to the cache moves to /usr/lib.
 * @param inside folders that are copied as a whole: libraries in them are not repeated
 */
export async function copyLibraries(
  programs: readonly string[],
  inside: readonly string[] = [],
): Promise<TarEntry[]> {
  const found = new Map<string, TarEntry>();
  // A code other than 0 means that one of them is static or lacks a library, as a headless Java lacks those of X.
  const { stdout } = await tryRun(["ldd", ...programs], { timeoutMs: 120_000 });
  for (const library of parseLdd(stdout)) {
    const real = realpathSync(library);
    if (!existsSync(real) || !lstatSync(real).isFile()) continue;
    if (inside.some((folder) => real.startsWith(`${folder}/`))) continue;
    const path = imagePath(library).slice(1);
    found.set(path, { ...copyFile(real, path), mode: 0o755 });
  }
  return [...found.values()];
}

/** The paths that ldd prints: `libm.so.6 => /lib/libm.so.6 (0x..)`, and the loader as `/lib64/ld-linux.so.2 (0x..)`. */
export function parseLdd(text: string): string[] {
  const paths = text.split("\n").flatMap((line) => /^\s+(?:\S+ => )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
  return [...new Set(paths)].sort();
}

function imagePath(library: string): string {
  const path = merged(library);
  return /^\/usr\/lib(64|\/[\w.-]+-linux-gnu\w*)?\/[^/]+$/.test(path) ? path : `/usr/lib/${basename(path)}`;
}
