import { describe, expect, it } from "vitest";
import { CONSUMERS } from "../../cell/roles.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { FLOWS } from "./traffic.ts";

describe("the list of allowed traffic", () => {
  it("lets each producer post its events to exactly those who consume them", () => {
    const events = FLOWS.filter(({ why }) => why.startsWith("events while")).map(
      ({ from, to }) => `${from} ${to}`,
    );
    const consumed = SLICE_NAMES.flatMap((from) => (CONSUMERS.get(from) ?? []).map((to) => `${from} ${to}`));
    expect(events.sort()).toEqual(consumed.sort());
  });

  it("names no flow twice for one reason", () => {
    const keys = FLOWS.map(({ from, to, port, why }) => `${from} ${to} ${port} ${why}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
