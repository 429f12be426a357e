import { describe, expect, it } from "vitest";
import type { KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { cellNamespace } from "./api/names.ts";
import { createRoutingInputs } from "./routing-inputs.ts";
import { center } from "./testing/center.ts";

const marks = (version: number) => ({ uid: "u", resourceVersion: String(version) });

/** A cluster of centers of one region, each with one Service. */
function world() {
  const centers = new Map<string, FulfillmentCenter>();
  const services = new Map<string, KubeObject[]>();
  const put = (name: string, version: number, latitude = "37.5") => {
    centers.set(
      name,
      center({ location: { latitude, longitude: "127" } }, { metadata: { name, ...marks(version) } }),
    );
  };
  const serve = (name: string, version: number, clusterIP: string) => {
    const metadata = { name: "orders", namespace: cellNamespace(name), ...marks(version) };
    services.set(name, [{ apiVersion: "v1", kind: "Service", metadata, spec: { clusterIP } }]);
  };
  const stores = {
    centersOfRegion: () => [...centers.values()],
    ofCenter: (_store: unknown, name: string) => services.get(name) ?? [],
    services: undefined,
    secrets: { get: () => undefined },
  } as unknown as Parameters<typeof createRoutingInputs>[0];
  return {
    put,
    serve,
    remove: (name: string) => centers.delete(name),
    inputsOf: createRoutingInputs(stores),
  };
}

describe("what a routing table is made of", () => {
  it("is read again only where something has changed", () => {
    const { put, serve, inputsOf } = world();
    put("a", 1);
    put("b", 1);
    serve("a", 1, "198.19.0.1");
    const [a, b] = inputsOf("r");
    put("b", 2, "38.25");
    const [sameA, newB] = inputsOf("r");
    expect(sameA).toBe(a);
    expect(newB).not.toBe(b);
    expect(newB?.fc?.spec.location.latitude).toBe("38.25");
    serve("a", 2, "198.19.0.2");
    expect(inputsOf("r")[0]?.services[0]?.spec).toEqual({ clusterIP: "198.19.0.2" });
  });

  it("forgets a center that left, also one that comes back with the same version", () => {
    const { put, remove, inputsOf } = world();
    put("a", 1);
    const [before] = inputsOf("r");
    remove("a");
    expect(inputsOf("r")).toEqual([]);
    put("a", 1);
    expect(inputsOf("r")[0]).not.toBe(before);
  });
});
