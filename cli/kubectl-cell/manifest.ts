import { readFileSync, statSync } from "node:fs";
import { API_VERSION, FULFILLMENT_CENTER } from "../../operator/api/names.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { parseYaml } from "../../platform/yaml.ts";
import { CommandError } from "./failure.ts";

export interface Manifests {
  readonly centers: readonly KubeObject[];
  /** Other objects of the file, as "Kind/name". */
  readonly others: readonly string[];
}

const MAX_BYTES = 1024 * 1024;

/** Text of a file, or of standard input for "-". */
export function readManifest(path: string): string {
  try {
    if (path !== "-" && statSync(path).size > MAX_BYTES)
      throw new CommandError(`${path} is larger than 1 MiB: give a file with FulfillmentCenters only.`);
    return readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${path} cannot be read (${(error as Error).message}): check the path.`);
  }
}

/** The FulfillmentCenters of a YAML or JSON text, of one document or several. */
export function parseManifests(text: string, path: string): Manifests {
  const documents = parsed(text, path).flatMap((one) =>
    isRecord(one) && one.kind === "List" && Array.isArray(one.items) ? (one.items as unknown[]) : [one],
  );
  const centers: KubeObject[] = [];
  const others: string[] = [];
  for (const [index, one] of documents.entries()) {
    if (one === null || one === undefined) continue;
    const where = documents.length === 1 ? path : `Document ${index + 1} of ${path}`;
    if (!isRecord(one) || typeof one.kind !== "string" || !isRecord(one.metadata))
      throw new CommandError(`${where} is no Kubernetes object: it needs apiVersion, kind and metadata.`);
    const name = one.metadata.name;
    if (one.kind !== FULFILLMENT_CENTER.kind) {
      others.push(`${one.kind}/${String(name)}`);
      continue;
    }
    if (one.apiVersion !== API_VERSION)
      throw new CommandError(
        `${where} has apiVersion ${String(one.apiVersion)}: a FulfillmentCenter has ${API_VERSION}.`,
      );
    if (typeof name !== "string" || name === "")
      throw new CommandError(
        `${where} has no metadata.name: a preview needs to know which center it is about.`,
      );
    if (centers.some(({ metadata }) => metadata.name === name))
      throw new CommandError(`${path} has FulfillmentCenter ${name} twice: keep one of them.`);
    centers.push(one as unknown as KubeObject);
  }
  if (centers.length === 0)
    throw new CommandError(
      `${path} has no FulfillmentCenter${others.length === 0 ? "" : ` (only ${others.slice(0, 5).join(", ")})`}: give the file that you would apply.`,
    );
  return { centers, others };
}

function parsed(text: string, path: string): unknown[] {
  try {
    return parseYaml(text);
  } catch (error) {
    throw new CommandError(`${path} is not valid YAML: ${(error as Error).message.trim()}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
