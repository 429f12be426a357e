import { describe, expect, it } from "vitest";
import type { KubeObject } from "./objects.ts";
import { createPacker } from "./packing.ts";
import { createStore } from "./store.ts";

const object = (name: string, replicas = 1): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "shop", resourceVersion: "1" },
  spec: { replicas, template: { spec: { containers: [{ name: "cell", image: "cell:1" }] } } },
  status: { readyReplicas: replicas },
});

describe("a packed object", () => {
  it("reads, spreads and prints like the object that it was made of", () => {
    const packed = createPacker()(object("a", 3));
    expect(packed).toEqual(object("a", 3));
    expect({ ...packed, status: {} }).toEqual({ ...object("a", 3), status: {} });
    expect(JSON.parse(JSON.stringify(packed))).toEqual(object("a", 3));
    expect(Object.keys(packed).sort()).toEqual(Object.keys(object("a")).sort());
  });

  it("cannot be changed through what was read", () => {
    const store = createStore<KubeObject>();
    store.put(createPacker()(object("a")));
    const read = store.get("shop/a")?.spec as { replicas: number };
    expect(() => {
      read.replicas = 9;
    }).toThrow(TypeError);
    expect(store.get("shop/a")?.spec).toBe(read);
  });

  it("is the object itself when there is no spec", () => {
    const { spec: _spec, ...bare } = object("a");
    expect(createPacker()(bare as KubeObject)).toBe(bare);
  });

  it("reads right also after the memory of texts was full", () => {
    const pack = createPacker(2);
    const packed = [1, 2, 3, 4, 5].map((replicas) => pack(object("a", replicas)));
    expect(packed.map(({ spec }) => (spec as { replicas: number }).replicas)).toEqual([1, 2, 3, 4, 5]);
  });
});
