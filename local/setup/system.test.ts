import { describe, expect, it } from "vitest";
import { missingPackages } from "./system.ts";

describe("missingPackages", () => {
  const nothing = () => false;
  const everything = () => true;

  it("names every package of a group on an empty machine, and none of another group", () => {
    expect(missingPackages(["stores"], nothing)).toEqual([
      "redis-server",
      "postgresql",
      "openjdk-17-jre-headless",
      "maven",
    ]);
    expect(missingPackages(["cluster"], nothing)).toContain("containerd");
    expect(missingPackages(["cluster"], nothing)).not.toContain("redis-server");
    expect(missingPackages([], nothing)).toEqual([]);
  });

  it("names nothing where everything is", () => {
    expect(missingPackages(["stores", "cluster"], everything)).toEqual([]);
  });

  it("accepts a program wherever it is, so that another package's containerd is not replaced", () => {
    const docker = (path: string) => ["/usr/local/bin/containerd", "/usr/bin/ctr"].includes(path);
    expect(missingPackages(["cluster"], docker)).not.toContain("containerd");
  });

  it("asks for the package when one of its programs is missing", () => {
    expect(missingPackages(["cluster"], (path) => path === "/usr/bin/containerd")).toContain("containerd");
  });
});
