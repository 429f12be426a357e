import { expect, test } from "vitest";
import { createPlacing, type PlacingDeps } from "../cell/orders/placing.ts";
import { crashPoints } from "./points.ts";

test("a saga of two steps has these crash points", () => {
  expect(crashPoints(["a", "b"]).map(({ moment, failsAt }) => `${moment} ${failsAt ?? "-"}`)).toEqual([
    "answered:forward:0 -",
    "forward:1 -",
    "answered:forward:1 -",
    "forward:2 -",
    "done:2 -",
    "backward:1 1",
    "answered:backward:1 1",
    "backward:0 0",
    "answered:backward:0 0",
    "backward:-1 0",
    "undone:-1 0",
  ]);
});

test("placing an order has a crash point for each of its steps", () => {
  const { steps } = createPlacing({} as PlacingDeps);
  expect(steps).toEqual(["hold", "authorize", "allocate"]);
  expect(crashPoints(steps)).toHaveLength(5 * steps.length);
});
