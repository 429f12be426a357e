import { describe, expect, it } from "vitest";
import { center } from "../../operator/testing/center.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { environmentOf } from "./settings.ts";
import { appliedBy, applyPatch, mergePatch } from "./storing.ts";

const LAST = "kubectl.kubernetes.io/last-applied-configuration";
const manifest = (spec: object): KubeObject => ({
  apiVersion: "v1",
  kind: "X",
  metadata: { name: "a" },
  spec,
});
const live = (spec: object, last?: object): KubeObject => ({
  ...manifest(spec),
  metadata: {
    name: "a",
    ...(last === undefined ? {} : { annotations: { [LAST]: JSON.stringify({ spec: last }) } }),
  },
});

describe("what an apply stores", () => {
  it("takes away what an earlier file said and this one does not, and keeps what others set", () => {
    const before = live(
      { region: "r", mode: "Draining", topology: "Separate" },
      { region: "r", topology: "Separate" },
    );
    const patch = applyPatch(manifest({ region: "r" }), before);
    expect(patch.spec).toEqual({ region: "r", topology: null });
    expect(mergePatch(before.spec, patch.spec)).toEqual({ region: "r", mode: "Draining" });
  });

  it("goes into objects, and replaces lists whole", () => {
    const before = live(
      { database: { engine: "A", storage: "1Gi" }, services: [{ name: "x" }] },
      { database: { storage: "1Gi" } },
    );
    const patch = applyPatch(manifest({ database: {}, services: [] }), before);
    expect(mergePatch(before.spec, patch.spec)).toEqual({ database: { engine: "A" }, services: [] });
  });

  it("survives a history that is no JSON", () => {
    const broken = { ...live({ a: 1 }), metadata: { name: "a", annotations: { [LAST]: "{" } } };
    expect(applyPatch(manifest({ a: 2 }), broken).spec).toEqual({ a: 2 });
  });

  it("is asked in the name of the one tool that applies it server-side", () => {
    const managed = (...managers: string[]) => ({
      ...center(),
      metadata: { name: "a", managedFields: managers.map((manager) => ({ manager, operation: "Apply" })) },
    });
    expect(appliedBy(managed("kustomize-controller", "fulfillment-cells"))).toBe("kustomize-controller");
    expect(appliedBy(managed("a", "b"))).toBeUndefined();
    expect(appliedBy(managed())).toBeUndefined();
    expect(appliedBy(live({}, {}))).toBeUndefined();
  });
});

it("finds the operator by the program that its container runs", () => {
  const deployment = (args: string[]): KubeObject => ({
    ...manifest({
      template: {
        spec: {
          containers: [
            { name: "beside" },
            {
              name: "any",
              args,
              env: [
                { name: "A", value: "1" },
                { name: "B", valueFrom: {} },
              ],
            },
          ],
        },
      },
    }),
  });
  expect(environmentOf(deployment(["operator/main.ts"]))).toEqual({ A: "1" });
  expect(environmentOf(deployment(["region/gateway/main.ts"]))).toBeUndefined();
});
