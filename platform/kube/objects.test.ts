import { describe, expect, it } from "vitest";
import { KINDS } from "./kinds.ts";
import {
  apiVersionOf,
  type Condition,
  compareVersions,
  formatMicroTime,
  formatTime,
  keyOf,
  onceFrozen,
  parseKey,
  resourceName,
  setCondition,
  stripHistory,
} from "./objects.ts";
import { widget } from "./testing/objects.ts";

const NOON = Date.UTC(2026, 4, 1, 12, 0, 0, 123);

describe("setCondition", () => {
  const ready: Condition = {
    type: "Ready",
    status: "True",
    reason: "Done",
    message: "All is well.",
    lastTransitionTime: "2026-01-01T00:00:00Z",
  };
  it.each([
    ["another message", { ...ready, message: "Still well." }, "2026-01-01T00:00:00Z"],
    ["another reason", { ...ready, reason: "StillDone" }, "2026-01-01T00:00:00Z"],
    ["another status", { ...ready, status: "False" as const }, "2026-05-01T12:00:00Z"],
    ["another type", { ...ready, type: "Available" }, "2026-05-01T12:00:00Z"],
  ])("moves the transition time only with the status: %s", (_name, next, expected) => {
    const { lastTransitionTime: _time, ...input } = next;
    const found = setCondition([ready], input, NOON).find(({ type }) => type === next.type);
    expect(found).toEqual({ ...next, lastTransitionTime: expected });
  });
  it("keeps the list sorted and leaves its input alone", () => {
    const before: readonly Condition[] = Object.freeze([ready]);
    const { lastTransitionTime: _time, ...input } = { ...ready, type: "Available" };
    expect(setCondition(before, input, NOON).map(({ type }) => type)).toEqual(["Available", "Ready"]);
  });
});

it.each([
  ["9", "10", -1],
  ["10", "9", 1],
  ["10", "10", 0],
  ["99999999999999999998", "99999999999999999999", -1],
  ["abc", "10", undefined],
  ["0", "1", undefined],
  [undefined, "1", undefined],
] as const)("compares versions %s and %s as numbers of any length", (a, b, expected) => {
  const compared = compareVersions(a, b);
  expect(compared === undefined ? undefined : Math.sign(compared)).toBe(expected);
});

it("writes times as the API does", () => {
  expect(formatTime(NOON)).toBe("2026-05-01T12:00:00Z");
  expect(formatMicroTime(NOON)).toBe("2026-05-01T12:00:00.123000Z");
});

it("names kinds and keys", () => {
  expect(apiVersionOf(KINDS.pod)).toBe("v1");
  expect(apiVersionOf(KINDS.deployment)).toBe("apps/v1");
  expect(resourceName(KINDS.pod)).toBe("pods");
  expect(resourceName(KINDS.deployment)).toBe("deployments.apps");
  expect(keyOf({ metadata: { name: "a", namespace: "b" } })).toBe("b/a");
  expect(parseKey("b/a")).toEqual({ namespace: "b", name: "a" });
  expect(parseKey("a")).toEqual({ name: "a" });
});

it("strips the history of fields, nothing else", () => {
  const made = widget("a", { size: 1 });
  const annotations = { keep: "me", "kubectl.kubernetes.io/last-applied-configuration": "{}" };
  const full = { ...made, metadata: { ...made.metadata, annotations, managedFields: [{}] } };
  expect(stripHistory(full)).toEqual({
    ...made,
    metadata: { ...made.metadata, annotations: { keep: "me" } },
  });
});

it("works out once what follows from an object that is frozen, and each time from one that can change", () => {
  let worked = 0;
  const sizeOf = onceFrozen(({ size }: { size: number }) => {
    worked++;
    return size;
  });
  const frozen = Object.freeze({ size: 1 });
  expect([sizeOf(frozen), sizeOf(frozen), worked]).toEqual([1, 1, 1]);
  const open = { size: 2 };
  sizeOf(open);
  open.size = 3;
  expect([sizeOf(open), worked]).toEqual([3, 3]);
});
