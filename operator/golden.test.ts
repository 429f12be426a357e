import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseYaml } from "../platform/yaml.ts";
import type { FulfillmentCenterInput } from "./api/fulfillment-center.ts";
import { hashOf } from "./build/hash.ts";
import { center } from "./testing/center.ts";
import { provisionedWorld } from "./testing/world.ts";

const ROOT = join(import.meta.dirname, "..");

/**
 * Hash of the pod template of every workload of the examples, from fixed inputs. An operator that writes another template
 * restarts the pods of every cell as soon as it is upgraded, without anybody having asked for a release. So: do not change
 * a template but for a good reason. Where it must change, make the change depend on something that a release brings (its
 * image, its provision Job), and where that cannot be, put the new hash here and the restart into the change log.
 */
const GOLDEN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "seoul-gangnam": {
    "Deployment/couriers": "829afa801e",
    "Deployment/dispatch": "051ab8ccd8",
    "Deployment/fulfillment": "21135ea1ad",
    "Deployment/inventory": "f9475657b6",
    "Deployment/orders": "1e49a863cd",
    "Deployment/payments": "a549950a19",
    "Deployment/tracking": "5a027e93fc",
    "StatefulSet/cache": "726e2c82f6",
    "StatefulSet/database": "b44a9e52ee",
  },
  "seoul-mapo": {
    "Deployment/cell": "91169fcd0f",
    "StatefulSet/cache": "e8f9c6b2d2",
    "StatefulSet/database": "2f688d3bde",
  },
};

function templatesOf(name: string): Record<string, string> {
  const [example] = parseYaml(readFileSync(join(ROOT, "examples", `${name}.yaml`), "utf8"));
  const { spec } = example as { spec: FulfillmentCenterInput };
  const world = provisionedWorld(center(spec, { name }));
  const workloads = [...world.objects.values()].filter(({ kind }) =>
    ["Deployment", "StatefulSet"].includes(kind),
  );
  return Object.fromEntries(
    workloads
      .map(({ kind, metadata, spec: own }) => {
        const { template } = own as { template: unknown };
        return [`${kind}/${metadata.name}`, hashOf(template)] as const;
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

it.each(Object.keys(GOLDEN))(
  "an operator upgrade alone restarts nothing: the pod templates of %s are what they were",
  (name) => {
    expect(templatesOf(name)).toEqual(GOLDEN[name]);
  },
);
