import { expect, test } from "vitest";
import { createLogger, errorText, type Logger } from "./log.ts";

function logged(write: (log: Logger) => void, level?: "debug" | "warn"): Record<string, unknown>[] {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ service: "orders", cell: "seoul", level, destination }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a line is JSON with who, when, how grave and what", () => {
  expect(logged((log) => log.info({ orderId: "o1" }, "order confirmed"))).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      service: "orders",
      cell: "seoul",
      orderId: "o1",
      message: "order confirmed",
    },
  ]);
});

test("what must not be told is left out", () => {
  const secret = {
    password: "s",
    token: "s",
    authorization: "s",
    contact: { phone: "s" },
    inner: { password: "s" },
  };
  const [line] = logged((log) => log.child({ request: 1 }).warn(secret, "m"));
  expect(line).toMatchObject({ request: 1, inner: {} });
  expect(JSON.stringify(line)).not.toContain('"s"');
});

test("lines below the level are not written", () => {
  const all = (log: Logger) => {
    log.debug({}, "d");
    log.info({}, "i");
    log.warn({}, "w");
    log.error({}, "e");
  };
  expect(logged(all, "warn").map((line) => line.level)).toEqual(["warn", "error"]);
  expect(logged(all, "debug")).toHaveLength(4);
});

test("anything that was thrown has a text", () => {
  expect(errorText(new TypeError("no"))).toBe("TypeError: no");
  expect(errorText("plain")).toBe("plain");
  expect(errorText(undefined)).toBe("undefined");
});
