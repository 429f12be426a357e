import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { everyCase } from "./cases.ts";
import { type Fault, formatFaults, parseFaults } from "./faults.ts";

const crashes = fc.constantFrom("crash-before" as const, "crash-after" as const);
const lags = fc.constantFrom("stale" as const, "gap" as const);
const at = fc.nat(999_999);
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: crashes, at }),
  fc.record({ kind: lags, at }),
  fc.record({ kind: fc.constant("lapse" as const), at }),
  fc.record({ kind: lags, at, of: fc.constantFrom("Job", "FulfillmentCenter") }),
  fc.constant({ kind: "past" as const }),
  fc.constant({ kind: "none" as const }),
);

describe("faults as text", () => {
  it("are read back as they were", () => {
    fc.assert(
      fc.property(fc.array(fault, { minLength: 1, maxLength: 4 }), (faults) => {
        expect(parseFaults(formatFaults(faults))).toEqual(faults);
      }),
    );
  });

  it.each([
    "",
    "crash",
    "crash-after",
    "crash-after@",
    "crash-after@-1",
    "stale@1x",
    "stale@1:",
    "crash-after@1:Job",
    "past@3",
    "past/",
  ])("are nothing else: %j", (text) => {
    expect(parseFaults(text)).toBeUndefined();
  });
});

it("runs once what cannot differ, and counts every fault at every call", () => {
  const call = (moment: string, after = moment) => ({ verb: "list", target: "Pod", moment, after });
  const cases = everyCase([call("0 100 0"), call("0 100 0"), call("0 100 0", "0 101 0"), call("0 101 1")]);
  expect(cases.reduce((sum, { standsFor }) => sum + standsFor, 0)).toBe(4 * 7);
  expect(cases.map(({ faults }) => formatFaults(faults))).toEqual([
    "crash-before@0",
    "crash-before@0/past",
    "stale@0",
    "gap@0",
    "lapse@0",
    "crash-after@2",
    "crash-after@2/past",
    "stale@3",
    "gap@3",
    "lapse@3",
  ]);
});
