import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  deadLetterTopicOf,
  envelopeSchema,
  eventOf,
  fromWire,
  groupOf,
  makeEvent,
  topicOf,
  toWire,
} from "./events.ts";

const text = fc.string({ minLength: 1, maxLength: 40 });
const event = fc.record({
  type: text,
  subject: text,
  version: fc.nat(),
  data: fc.jsonValue(),
});

test("an event comes out of Kafka, and off the way around it, as it went in", () => {
  fc.assert(
    fc.property(event, (parts) => {
      const made = {
        ...makeEvent("seoul/orders", parts, "2026-01-01T00:00:00.000Z"),
        traceparent: "00-a-b-01",
      };
      const expected = { ...made, data: JSON.parse(JSON.stringify(parts.data)) as unknown };
      expect(fromWire(toWire(made))).toEqual(expected);
      expect(envelopeSchema.parse(JSON.parse(JSON.stringify(made)))).toEqual(expected);
    }),
  );
});

test("on the wire it is a CloudEvent in binary mode, keyed by its aggregate", () => {
  const data = { orderId: "ord_1" };
  const made = makeEvent(
    "seoul/orders",
    { type: "orders.confirmed.v1", subject: "ord_1", version: 3, data },
    "2026-01-01T00:00:00.000Z",
    "e1",
  );
  expect(toWire(made)).toEqual({
    key: "ord_1",
    value: '{"orderId":"ord_1"}',
    headers: {
      ce_specversion: "1.0",
      ce_id: "e1",
      ce_type: "orders.confirmed.v1",
      ce_source: "seoul/orders",
      ce_subject: "ord_1",
      ce_time: "2026-01-01T00:00:00.000Z",
      ce_aggregateversion: "3",
      "content-type": "application/json",
    },
  });
});

test.each([
  ["a header missing", { ce_id: "" }, "{}"],
  ["a version that is no number", { ce_aggregateversion: "x" }, "{}"],
  ["data that is no JSON", {}, "{"],
])("%s is no event", (_name, change, value) => {
  const parts = { type: "a.b.v1", subject: "s", version: 1, data: {} };
  const wire = toWire(makeEvent("seoul/orders", parts, "2026-01-01T00:00:00.000Z"));
  expect(() => fromWire({ value, headers: { ...wire.headers, ...change } })).toThrow();
});

test("a contract's event checks its data", () => {
  const confirmed = eventOf("orders.confirmed.v1", z.object({ orderId: z.string() }));
  expect(confirmed.parse({ orderId: "o", more: 1 })).toEqual({ orderId: "o" });
  expect(() => confirmed.parse({})).toThrow();
});

test("names of topics and groups start with the cell's", () => {
  expect(topicOf("seoul", "orders")).toBe("cells.seoul.orders");
  expect(deadLetterTopicOf("seoul", "orders")).toBe("cells.seoul.orders.dlq");
  expect(groupOf("seoul", "orders")).toBe("cells.seoul.orders");
});
