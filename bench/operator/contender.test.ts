import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { NODE_FLAGS } from "./contender.ts";

it("measures the operator with the flags that its chart gives to Node", () => {
  const path = join(import.meta.dirname, "../../charts/fulfillment-cells/templates/operator.yaml");
  const [, flags = ""] = /args: \[(.*), operator\/main\.ts\]/.exec(readFileSync(path, "utf8")) ?? [];
  expect(flags).toBe(NODE_FLAGS.map((flag) => JSON.stringify(flag)).join(", "));
});
