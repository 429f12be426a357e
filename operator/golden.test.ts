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
    "Deployment/couriers": "312e143dd1",
    "Deployment/dispatch": "e8e3550555",
    "Deployment/fulfillment": "f65d5ed7a8",
    "Deployment/inventory": "821ea29d03",
    "Deployment/orders": "915061a2ca",
    "Deployment/payments": "59164792db",
    "Deployment/tracking": "853f3de786",
    "StatefulSet/cache": "195541c244",
    "StatefulSet/database": "b44a9e52ee",
  },
  "seoul-mapo": {
    "Deployment/cell": "916c993831",
    "StatefulSet/cache": "1eeb4ccbb1",
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
