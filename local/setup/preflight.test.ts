import { describe, expect, it } from "vitest";
import { type MachineFacts, parseGoVersion, parseJavaMajor } from "./facts.ts";
import { findProblems, type PreflightWants, type ProblemCode } from "./preflight.ts";

const GIB = 1024 ** 3;

const GOOD: MachineFacts = {
  platform: "linux",
  arch: "x64",
  userId: 0,
  isRoot: true,
  hasApt: true,
  missingPackages: [],
  goVersion: [1, 25],
  javaMajor: 17,
  disks: [{ folder: "/cache", freeBytes: 8 * GIB }],
  availableMemoryBytes: 4 * GIB,
  busyPorts: [],
  kernel: { canMakeNetworkNamespace: true, canMount: true, canMakeCgroup: true },
};
const CLUSTER: PreflightWants = { kubernetes: true };
const PROCESSES: PreflightWants = { kubernetes: false };
const USER = { userId: 1000, isRoot: false, kernel: undefined };

describe("findProblems", () => {
  const table: [string, Partial<MachineFacts>, PreflightWants, ProblemCode[]][] = [
    ["a good machine", {}, CLUSTER, []],
    ["another system", { platform: "darwin" }, CLUSTER, ["not-linux"]],
    ["another processor", { arch: "riscv64" }, CLUSTER, ["architecture"]],
    ["a user", USER, CLUSTER, ["no-root"]],
    ["a user without pods", USER, PROCESSES, []],
    [
      "a user without packages",
      { ...USER, missingPackages: ["redis-server"] },
      PROCESSES,
      ["missing-packages"],
    ],
    ["root with apt installs them", { missingPackages: ["redis-server"] }, CLUSTER, []],
    ["root without apt", { hasApt: false, missingPackages: ["redis-server"] }, CLUSTER, ["missing-packages"]],
    ["no Go", { goVersion: undefined }, CLUSTER, ["no-go"]],
    ["no Go without pods", { goVersion: undefined }, PROCESSES, []],
    ["old Go", { goVersion: [1, 24] }, CLUSTER, ["old-go"]],
    ["Go before 1", { goVersion: [0, 99] }, CLUSTER, ["old-go"]],
    ["next Go", { goVersion: [2, 0] }, CLUSTER, []],
    ["old Java", { javaMajor: 11 }, PROCESSES, ["old-java"]],
    ["Java comes with the packages", { javaMajor: undefined, missingPackages: ["openjdk"] }, PROCESSES, []],
    ["a full disk", { disks: [{ folder: "/cache", freeBytes: 8 * GIB - 1 }] }, CLUSTER, ["disk"]],
    ["less disk without pods", { disks: [{ folder: "/cache", freeBytes: 2 * GIB }] }, PROCESSES, []],
    ["little memory", { availableMemoryBytes: 3 * GIB }, CLUSTER, ["memory"]],
    [
      "a busy port",
      { busyPorts: [8080] },
      { kubernetes: true, ports: [{ port: 8080, use: "the gateway" }] },
      ["port-busy"],
    ],
    [
      "no namespaces",
      { kernel: { canMakeNetworkNamespace: false, canMount: false, canMakeCgroup: false } },
      CLUSTER,
      ["no-network-namespace", "no-cgroup"],
    ],
    [
      "no mounts",
      { kernel: { canMakeNetworkNamespace: true, canMount: false, canMakeCgroup: true } },
      CLUSTER,
      ["no-mount"],
    ],
    ["several at once", { goVersion: undefined, availableMemoryBytes: 0 }, CLUSTER, ["no-go", "memory"]],
  ];

  it.each(table)("%s", (_name, facts, wants, codes) => {
    const problems = findProblems({ ...GOOD, ...facts }, wants);
    expect(problems.map(({ code }) => code)).toEqual(codes);
    for (const { message } of problems) expect(message).toMatch(/^[^\n]+[^.\n]\.$/);
  });

  it.each([
    ["no-root", USER],
    ["no-go", { goVersion: undefined }],
  ] as const)("%s offers the run without pods", (code, facts) => {
    const [problem] = findProblems({ ...GOOD, ...facts }, CLUSTER);
    expect(problem).toMatchObject({ code, message: expect.stringContaining("--without-kubernetes") });
  });

  it("names the port, its use and how to find who has it", () => {
    const wants = {
      kubernetes: false,
      ports: [
        { port: 80, use: "a" },
        { port: 81, use: "b" },
      ],
    };
    const problems = findProblems({ ...GOOD, busyPorts: [81] }, wants);
    expect(problems).toEqual([{ code: "port-busy", message: expect.stringMatching(/81.* b.*sport = :81/) }]);
  });
});

describe("versions", () => {
  it.each([
    ["go1.26.8\n", [1, 26]],
    ["go1.25rc1", [1, 25]],
    ["devel +abc", [Number.MAX_SAFE_INTEGER, 0]],
    ["", undefined],
  ])("Go says %j", (text, version) => expect(parseGoVersion(text)).toEqual(version));

  it.each([
    ['openjdk version "17.0.15" 2025-04-15', 17],
    ['java version "1.8.0_292"', 8],
    ['openjdk version "21" 2023-09-19', 21],
    ["", undefined],
  ])("Java says %j", (text, major) => expect(parseJavaMajor(text)).toBe(major));
});
