import { expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";

test("series carry service and cell, and asking twice gives the same one", async () => {
  const metrics = createMetrics({ service: "orders", cell: "seoul" });
  metrics.counter("c_total", "A count.", ["code"]).inc({ code: "200" });
  metrics.counter("c_total", "A count.", ["code"]).inc({ code: "200" }, 4);
  metrics.gauge("g", "A level.").set({}, 7);
  metrics.histogram("h_seconds", "A time.", [1, 2]).observe({}, 1.5);
  const text = await metrics.render();
  expect(text).toContain('c_total{code="200",service="orders",cell_name="seoul"} 5');
  expect(text).toContain('g{service="orders",cell_name="seoul"} 7');
  expect(text).toContain('h_seconds_bucket{le="2",service="orders",cell_name="seoul"} 1');
  expect(text).toContain('h_seconds_bucket{le="1",service="orders",cell_name="seoul"} 0');
});

test("two registries know nothing of each other", async () => {
  const [one, two] = [createMetrics({ service: "a" }), createMetrics({ service: "b" })];
  one.counter("c_total", "A count.").inc();
  expect(await two.render()).not.toContain("c_total");
});

test("labels that never end cannot fill the memory", async () => {
  const metrics = createMetrics({ service: "a" });
  const counter = metrics.counter("c_total", "A count.", ["id"]);
  for (let id = 0; id < 3_000; id++) counter.inc({ id: String(id) });
  counter.inc({ id: "0" });
  const lines = (await metrics.render()).split("\n").filter((line) => line.startsWith("c_total{"));
  expect(lines).toHaveLength(2_000);
  expect(lines.find((line) => line.includes('id="0"'))).toMatch(/ 2$/);
});
