import { homedir } from "node:os";
import { join } from "node:path";

/** Folder of what can be made again: built programs, images, downloads. Shared by every clone on the machine. */
export function cacheDir(): string {
  return process.env.FULFILLMENT_CELLS_CACHE ?? join(homedir(), ".cache", "fulfillment-cells");
}

/** Folder of sockets and state of one cluster; empty after a reboot. */
export function runDir(index: number): string {
  return `/run/fulfillment-cells/${index}`;
}

/** Folder of images, volumes and logs of one cluster. */
export function dataDir(index: number): string {
  return `/var/lib/fulfillment-cells/${index}`;
}
