import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { NODE_FLAGS, sumOf } from "./contender.ts";

it("measures the operator with the flags that its chart gives to Node", () => {
  const path = join(import.meta.dirname, "../../charts/fulfillment-cells/templates/operator.yaml");
  const [, flags = ""] = /args: \[(.*), operator\/main\.ts\]/.exec(readFileSync(path, "utf8")) ?? [];
  expect(flags).toBe(NODE_FLAGS.map((flag) => JSON.stringify(flag)).join(", "));
});

it("sums a metric over the controller of centers alone", () => {
  const text = [
    'controller_runtime_reconcile_total{controller="fulfillmentcenter",result="success"} 4',
    'controller_runtime_reconcile_total{controller="fulfillmentcenter",result="error"} 1',
    'controller_runtime_reconcile_total{controller="routingtable",result="success"} 9',
  ].join("\n");
  expect(sumOf(text, "controller_runtime_reconcile_total")).toBe(5);
});
