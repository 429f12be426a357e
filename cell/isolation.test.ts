import { describe, expect, it } from "vitest";
import type { Knocked } from "../platform/knock.ts";
import { type Attempt, judgeIsolation, parseAttempt } from "./isolation.ts";

const OWN = [
  "control:cache.cell-a.svc:6379",
  "egress:inventory.cell-a.svc:7001",
  "ingress:tracking.cell-a.svc:7007",
];
const NEXT = [
  "cells:database.cell-b.svc:5432",
  "cells:cache.cell-b.svc:6379",
  "cells:orders.cell-b.svc:7002",
  "cells:payments.cell-b.svc:7003",
];

/** Everything denied but the control, with exceptions by host. */
function tried(words: readonly string[], except: Readonly<Record<string, Knocked>> = {}) {
  return words.map(parseAttempt).map((attempt: Attempt) => {
    const service = `${attempt.host.split(".")[0]} ${attempt.kind}`;
    const usual: Knocked = attempt.kind === "control" ? "connected" : "denied";
    return { ...attempt, outcome: except[service] ?? usual };
  });
}

describe("what the probe's outcomes prove", () => {
  const cases: [string, readonly string[], Record<string, Knocked>, string][] = [
    ["a cell alone that is closed both ways", OWN, {}, "Denied"],
    ["a closed cell among others", [...OWN, ...NEXT], {}, "Denied"],
    ["no network at all", [...OWN, ...NEXT], { "cache control": "denied" }, "Inconclusive"],
    ["no names", [...OWN, ...NEXT], { "cache control": "unresolved" }, "Inconclusive"],
    ["nothing to compare with", OWN.slice(1), {}, "Inconclusive"],
    ["another cell's Redis answers", [...OWN, ...NEXT], { "cache cells": "connected" }, "Reachable"],
    ["egress alone is not enforced", OWN, { "inventory egress": "connected" }, "Reachable"],
    ["ingress alone is not enforced", OWN, { "tracking ingress": "connected" }, "Reachable"],
    [
      "nothing is enforced",
      OWN,
      { "inventory egress": "connected", "tracking ingress": "connected" },
      "NotEnforced",
    ],
    ["another cell's database is away", [...OWN, ...NEXT], { "database cells": "refused" }, "Inconclusive"],
    [
      "one of its services is away, another was silent",
      [...OWN, ...NEXT],
      { "payments cells": "refused" },
      "Denied",
    ],
    ["the own closed door is away", OWN, { "inventory egress": "refused" }, "Inconclusive"],
  ];
  it.each(cases)("%s", (_name, words, except, expected) => {
    expect(judgeIsolation(tried(words, except)).isolation).toBe(expected);
  });

  it("are counted and named, as many as the operator reads", () => {
    const many = Array.from({ length: 12 }, (_, index) => `cells:orders.cell-${index}.svc:7002`);
    const report = judgeIsolation(tried([...OWN, ...many], { "orders cells": "connected" }));
    expect(report).toMatchObject({ isolation: "Reachable", denied: 2, cells: 12 });
    expect(report.reached).toEqual(many.slice(0, 8).map((word) => word.slice("cells:".length)));
  });
});

it.each(["", "control:host", "all:host:80", "cells:host:0", "cells:host:65536", "cells:a b:80"])(
  "refuses the attempt %j with a sentence",
  (word) => {
    expect(() => parseAttempt(word)).toThrow("say control, egress, ingress or cells");
  },
);
