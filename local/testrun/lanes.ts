import { glob } from "node:fs/promises";

/** A series of test files that run one after the other, beside the other lanes. */
export interface Lane {
  readonly name: string;
  readonly files: readonly string[];
}

/** What shares the API server and the machine's network runs in one lane; what has a database of its own in the other. */
const SHARES_API_SERVER = ["operator/", "cli/", "platform/kube/", "charts/", "crds/", "local/", "region/"];

/** Every integration test file of the tree, in exactly one lane; paths relative to `root`. */
export async function integrationLanes(root: string): Promise<Lane[]> {
  const files: string[] = [];
  const options = { cwd: root, exclude: (path: string) => path === "node_modules" };
  for await (const file of glob("**/*.itest.ts", options)) files.push(file);
  return assign(files.sort());
}

/** Splits `files`; a folder that no rule names goes with the cells. */
export function assign(files: readonly string[]): Lane[] {
  const shared = (file: string) => SHARES_API_SERVER.some((folder) => file.startsWith(folder));
  return [
    { name: "operator and region", files: files.filter(shared) },
    { name: "cells", files: files.filter((file) => !shared(file)) },
  ];
}
