import { expect, test } from "vitest";
import { assign, integrationLanes } from "./lanes.ts";

test("every file is in exactly one lane, also one of a folder that nobody named", () => {
  const files = [
    "operator/a.itest.ts",
    "cell/orders/b.itest.ts",
    "platform/kube/c.itest.ts",
    "new/d.itest.ts",
  ];
  const lanes = assign(files);
  expect(lanes.flatMap((lane) => lane.files).sort()).toEqual([...files].sort());
  expect(lanes[0]?.files).toEqual(["operator/a.itest.ts", "platform/kube/c.itest.ts"]);
});

test("the files of this tree are found, and none of its packages'", async () => {
  const files = (await integrationLanes(`${import.meta.dirname}/../..`)).flatMap((lane) => lane.files);
  expect(files).toContain("operator/operator.itest.ts");
  expect(files).toContain("cell/flow.itest.ts");
  expect(files.filter((file) => file.includes("node_modules"))).toEqual([]);
});
