import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layoutOf, MAX_INDEX, toolEnv } from "./layout.ts";
import { covers } from "./namespace.ts";

const indexes = Array.from({ length: MAX_INDEX + 1 }, (_, index) => index);

describe("layoutOf", () => {
  it("gives each index a network of its own", () => {
    for (const index of indexes) {
      const { hostAddress, nodeAddress } = layoutOf(index);
      const network = `198.18.0.${4 * index}/30`;
      expect(covers(network, hostAddress) && covers(network, nodeAddress)).toBe(true);
    }
  });

  it("shares no name, address or folder between two indexes", () => {
    for (const name of [
      "hostAddress",
      "nodeAddress",
      "hostDevice",
      "cgroup",
      "runDir",
      "dataDir",
      "nodeName",
    ] as const) {
      expect(new Set(indexes.map((index) => layoutOf(index)[name])).size).toBe(indexes.length);
    }
  });

  it("keeps device names within the 15 characters that the kernel allows", () => {
    for (const index of indexes) expect(layoutOf(index).hostDevice.length).toBeLessThanOrEqual(15);
  });

  it.each([-1, MAX_INDEX + 1, 0.5, Number.NaN])("refuses index %s with a sentence", (index) => {
    expect(() => layoutOf(index)).toThrow(/use a whole number from 0 to/);
  });
});

describe("toolEnv", () => {
  it("names the cluster and keeps a proxy out of the way, beside what was excepted already", () => {
    const layout = layoutOf(1);
    const env = toolEnv(layout, { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "localhost", HOME: "/h" });
    expect(env).toMatchObject({
      KUBECONFIG: layout.kubeconfigPath,
      NO_PROXY: "localhost,198.18.0.6",
      HOME: "/h",
    });
    expect(toolEnv(layout, {}).NO_PROXY).toBe("198.18.0.6");
  });
});

describe("covers", () => {
  it.each([
    ["198.18.0.0/15", "198.18.0.2", true],
    ["198.18.0.4/30", "198.18.0.2", false],
    ["198.18.0.2", "198.18.0.2", true],
    ["198.18.0.3", "198.18.0.2", false],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["255.255.255.255/32", "255.255.255.254", false],
  ])("%s covers %s: %s", (range, address, expected) => {
    expect(covers(range, address)).toBe(expected);
  });

  it("holds for an address in its own range of any length", () => {
    const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    fc.assert(
      fc.property(octets, fc.integer({ min: 0, max: 32 }), (parts, length) => {
        const address = parts.join(".");
        return covers(`${address}/${length}`, address);
      }),
    );
  });
});
