import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { type KubeObject, keyOf, stripHistory } from "./objects.ts";
import { createStore } from "./store.ts";

const COUNT = 1_000;

/** Text of an object as a cluster shows it: what was asked for, and twice as much about who asked for it. */
function wireText(index: number): string {
  const names = Array.from({ length: 12 }, (_, at) => `setting-${at}`);
  const spec = {
    region: "seoul",
    parts: names.map((name) => ({ name, value: `${name}-${index}`, weight: index })),
  };
  const fields = Object.fromEntries(
    names.map((name) => [`k:{"name":"${name}"}`, { ".": {}, "f:name": {}, "f:value": {}, "f:weight": {} }]),
  );
  const entry = (manager: string) => ({
    ...{
      manager,
      operation: "Apply",
      apiVersion: "v1",
      time: "2026-01-01T00:00:00Z",
      fieldsType: "FieldsV1",
    },
    fieldsV1: { "f:spec": { "f:region": {}, "f:parts": fields } },
  });
  return JSON.stringify({
    ...{ apiVersion: "tests.fulfillment.io/v1", kind: "Widget", spec },
    metadata: {
      ...{
        name: `widget-${index}`,
        namespace: "shop",
        uid: `uid-${index}`,
        resourceVersion: String(index + 1),
      },
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(spec) },
      managedFields: [entry("kubectl"), entry("operator")],
    },
  });
}

/** Bytes of heap that a store keeps alive when it is filled through `transform`. */
function heapOf(transform: (object: KubeObject) => KubeObject): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const store = createStore<KubeObject>();
  collect();
  const before = process.memoryUsage().heapUsed;
  const objects = Array.from({ length: COUNT }, (_, index) => JSON.parse(wireText(index)) as KubeObject);
  store.replace(objects.map(transform), String(COUNT));
  objects.length = 0;
  collect();
  const bytes = process.memoryUsage().heapUsed - before;
  expect(store.size).toBe(COUNT);
  return bytes;
}

it("keeps less than half of an object without the history of its fields, and a fraction of a selected part", {
  timeout: 120_000,
}, () => {
  // The first filling also pays for what the engine learns about these objects.
  heapOf(stripHistory);
  const whole = heapOf((object) => object);
  const stripped = heapOf(stripHistory);
  const selected = heapOf(({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) => ({
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
    },
  }));
  console.info(
    `heap per ${COUNT} objects: whole ${(whole / 1e6).toFixed(1)} MB, stripped ${(stripped / 1e6).toFixed(1)} MB, selected ${(selected / 1e6).toFixed(1)} MB`,
  );
  expect(whole / stripped).toBeGreaterThan(2);
  expect(stripped / selected).toBeGreaterThan(2);
});

it("strips before the object is kept, by itself", () => {
  const stripped = stripHistory(JSON.parse(wireText(1)) as KubeObject);
  expect(keyOf(stripped)).toBe("shop/widget-1");
  expect(JSON.stringify(stripped)).not.toMatch(/managedFields|last-applied/);
});
