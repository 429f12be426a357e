import { expect, it } from "vitest";
import { center, SETTINGS } from "../testing/center.ts";
import { cellOf, forgetCell } from "./cell.ts";
import { buildNetworkPolicies } from "./network.ts";
import { buildSliceDeployments } from "./slices.ts";

const cell = (spec: Parameters<typeof center>[0] = {}, epoch = 1) => cellOf(center(spec), SETTINGS, epoch);

it("is built once for as long as it is made of the same, however often it was read", () => {
  expect(cell()).toBe(cell());
  expect(buildNetworkPolicies(cell())).toBe(buildNetworkPolicies(cell()));
  expect(buildSliceDeployments(cell(), "a")).toBe(buildSliceDeployments(cell(), "a"));
});

it("is built anew when its spec, its epoch, its incarnation or the operator's settings change", () => {
  const before = cell();
  expect(cell({ topology: "Separate" })).not.toBe(before);
  expect(cell({}, 2)).not.toBe(cell());
  expect(cellOf(center({}, { uid: "another" }), SETTINGS, 1)).not.toBe(cell());
  expect(cellOf(center(), { ...SETTINGS }, 1)).not.toBe(cell());
  expect(buildSliceDeployments(cell(), "a")).not.toEqual(buildSliceDeployments(cell(), "b"));
  expect(buildSliceDeployments(cell({ topology: "Separate" }), "a")).not.toEqual(
    buildSliceDeployments(cell({ topology: "Compact" }), "a"),
  );
});

it("is let go when it is forgotten", () => {
  const before = cell();
  forgetCell(before.name);
  expect(cell()).not.toBe(before);
  expect(cell()).toEqual(before);
});

it("cannot be changed by whoever was given it", () => {
  const [policy] = buildNetworkPolicies(cell());
  expect(() => Object.assign(policy?.metadata.labels ?? {}, { more: "1" })).toThrow(TypeError);
});
