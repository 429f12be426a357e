import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { TarEntry } from "./tar.ts";

/** Decides by the path below the root of the walk whether a file or folder is taken. */
export type Keep = (path: string, isDirectory: boolean) => boolean;

/** A file with this text. */
export function textFile(path: string, text: string, mode = 0o644): TarEntry {
  return { kind: "file", path, mode, content: Buffer.from(text) };
}

/** A copy of one file of this machine; of its mode only "may be executed" is kept, so nothing is setuid. */
export function copyFile(source: string, path: string): TarEntry {
  const { size, mode } = statSync(source);
  return { kind: "file", path, mode: mode & 0o111 ? 0o755 : 0o644, source, sizeBytes: size };
}

/** Everything below a folder of this machine, put below `path`. Links stay links; folders without content are left out. */
export function copyFolder(root: string, path: string, keep: Keep = () => true): TarEntry[] {
  const entries: TarEntry[] = [];
  const walk = (folder: string) => {
    for (const item of readdirSync(folder, { withFileTypes: true })) {
      const source = join(folder, item.name);
      const below = relative(root, source);
      if (!keep(below, item.isDirectory())) continue;
      const target = join(path, below);
      if (item.isDirectory()) walk(source);
      else if (item.isSymbolicLink())
        entries.push({ kind: "symlink", path: target, mode: 0o777, target: readlinkSync(source) });
      else if (item.isFile()) entries.push(copyFile(source, target));
    }
  };
  walk(root);
  return entries;
}

/**
 * A copy of files and folders of this machine at the same place, with all that their links lead to. /bin, /sbin,
 * /lib and /lib64 become parts of /usr, as on any Debian since 12.
 */
export function copyPlaces(places: readonly string[], keep: Keep = () => true): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  const visit = (place: string) => {
    const path = merged(place).slice(1);
    if (entries.has(path)) return;
    const info = lstatSync(place);
    if (info.isSymbolicLink()) {
      const target = readlinkSync(place);
      entries.set(path, { kind: "symlink", path, mode: 0o777, target });
      visit(
        realpathSync(
          join(
            realpathSync(dirname(place)),
            target.startsWith("/") ? relative(dirname(place), target) : target,
          ),
        ),
      );
    } else if (info.isDirectory()) {
      for (const name of readdirSync(place)) {
        const below = join(place, name);
        const target = statSync(below, { throwIfNoEntry: false });
        // Without a target there is nothing that could be found through the link.
        if (target && keep(merged(below), target.isDirectory())) visit(below);
      }
    } else if (info.isFile()) {
      entries.set(path, copyFile(place, path));
    }
  };
  for (const place of places) visit(place);
  return [...entries.values()];
}

/** `/lib/x` is `/usr/lib/x` where /usr is merged, and so for the other three. */
export function merged(path: string): string {
  return /^\/(bin|sbin|lib|lib64)\//.test(path) ? `/usr${path}` : path;
}

/**
 * The entries sorted by path, each path once (the last one wins), after all the folders above them. A folder of
 * its own in the list keeps its mode; the others are made with 0755.
 */
export function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map<string, TarEntry>(entries.map((entry) => [entry.path, entry]));
  for (const { path } of entries) {
    for (let above = dirname(path); above !== "."; above = dirname(above)) {
      if (!all.has(above)) all.set(above, { kind: "directory", path: above, mode: 0o755 });
    }
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}
