import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { toYaml } from "../platform/yaml.ts";
import { buildCrds } from "./api/crd.ts";

/** Files that `npm run generate` writes: path from the root of the project -> text. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const crd of buildCrds()) {
    const plural = crd.metadata.name.split(".")[0] ?? crd.metadata.name;
    const text = `# Generated from operator/api by \`npm run generate\`: change the schema there.\n${toYaml(crd)}`;
    files.set(`crds/${plural}.yaml`, text);
    files.set(`charts/fulfillment-cells/crds/${plural}.yaml`, text);
  }
  return files;
}

const isMain = process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href;
if (isMain) {
  const root = join(import.meta.dirname, "..");
  for (const [path, text] of generatedFiles()) {
    const folder = join(root, path, "..");
    if (!existsSync(folder)) mkdirSync(folder, { recursive: true });
    writeFileSync(join(root, path), text);
    console.log(`wrote ${path}`);
  }
}
