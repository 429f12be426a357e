import { describe, expect, it } from "vitest";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { ANNOTATIONS } from "../api/names.ts";
import { fieldChanges } from "./difference.ts";

const object = (spec: unknown, more: Partial<KubeObject> = {}): KubeObject => ({
  ...{ apiVersion: "v1", kind: "Any", metadata: { name: "a" }, spec },
  ...more,
});
const lines = (before: KubeObject, after: KubeObject, covering = false) =>
  fieldChanges(before, after, { covering }).map(
    ({ path, before: old, after: now }) => `${path}: ${old} → ${now}`,
  );

describe("the fields that differ", () => {
  it.each<[string, unknown, unknown, string[]]>([
    ["nothing", { a: { b: 1, c: [2] } }, { a: { c: [2], b: 1 } }, []],
    ["a value deep inside", { a: { b: 1 } }, { a: { b: 2 } }, ["spec.a.b: 1 → 2"]],
    ["a field more and one less", { a: 1 }, { b: "x" }, ["spec.a: 1 → undefined", "spec.b: undefined → x"]],
    [
      "a key with dots",
      { h: { "requests.cpu": "1" } },
      { h: { "requests.cpu": "2" } },
      ['spec.h["requests.cpu"]: 1 → 2'],
    ],
    [
      "variables by name, whatever their order",
      {
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "2" },
        ],
      },
      {
        env: [
          { name: "B", value: "3" },
          { name: "A", value: "1" },
        ],
      },
      ["spec.env[B]: 2 → 3"],
    ],
    [
      "lists of the same length by place",
      { args: ["x", "1"] },
      { args: ["x", "2"] },
      ["spec.args[1]: 1 → 2"],
    ],
    [
      "lists of another length whole",
      { args: ["x"] },
      { args: ["x", "y"] },
      ['spec.args: ["x"] → ["x","y"]'],
    ],
  ])("%s", (_title, before, after, expected) => {
    expect(lines(object(before), object(after))).toEqual(expected);
  });

  it("leave out what the API server has added, where that is asked for", () => {
    const stored = object({
      replicas: 1,
      strategy: "default",
      ports: [{ name: "http", port: 1, protocol: "TCP" }],
    });
    const wish = object({ replicas: 2, ports: [{ name: "http", port: 1 }] });
    expect(lines(stored, wish, true)).toEqual(["spec.replicas: 1 → 2"]);
  });

  it("of a Secret are named without their values", () => {
    const secret = (password: string) =>
      object(undefined, { kind: "Secret", data: { password, user: "x" }, stringData: { plain: password } });
    const told = lines(secret("old-word"), secret("new-word"));
    expect(told).toEqual([
      "data.password: (hidden) → (hidden, changed)",
      "stringData.plain: (hidden) → (hidden, changed)",
    ]);
  });

  it("say nothing of hashes and status, and bound the length of a value", () => {
    const marked = (hash: string, status: object) =>
      object({}, { metadata: { name: "a", annotations: { [ANNOTATIONS.revision]: hash } }, status });
    expect(lines(marked("1", { ready: 1 }), marked("2", { ready: 2 }))).toEqual([]);
    expect(lines(object({ a: "x" }), object({ a: "y".repeat(500) }))[0]?.length).toBeLessThan(150);
  });
});
