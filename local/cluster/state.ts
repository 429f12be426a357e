import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { ProcessRecord } from "./process.ts";

/** What is running, written down so that a later run of the launcher finds it. */
export interface ClusterState {
  /** "starting" until everything answered once: a state left in it is a half-built run. */
  readonly phase: "starting" | "ready";
  /** The executable the processes were started from: another one means another version. */
  readonly kubernetes: string;
  readonly apiUrl: string;
  readonly processes: readonly ProcessRecord[];
  /** Identities of the image archives that were imported. */
  readonly images: readonly string[];
}

/** The state in a file; undefined when there is none or it can not be read. */
export function readState(path: string): ClusterState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, "utf8")) as ClusterState;
    return Array.isArray(state.processes) && Array.isArray(state.images) ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces the state in one step: a reader sees the old one or the new one. */
export function writeState(path: string, state: ClusterState): void {
  mkdirSync(dirname(path), { recursive: true });
  const next = `${path}.next`;
  writeFileSync(next, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(next, path);
}

export function removeState(path: string): void {
  rmSync(path, { force: true });
}
