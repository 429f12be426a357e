import { expect, test } from "vitest";
import { unexpectedErrors } from "./run.ts";

const line = (message: string, route: string, time = "") =>
  `{"level":"error"${time},"service":"inventory","route":"${route}","error":"Error: no","message":"${message}"}`;

test("what a service did not expect is found among the words of a run, each once", () => {
  const expected = line("the processor has refused a movement", "/a");
  const first = line("a request ended in an unexpected error", "/b");
  const second = line("a request ended in an unexpected error", "/c");
  const again = line("a request ended in an unexpected error", "/b", ',"time":"2026-11-22T00:00:01.000Z"');
  const output = [" ✓ cell/a.itest.ts (3 tests)", expected, `stdout ${first}`, second, again, "end"].join(
    "\n",
  );
  expect(unexpectedErrors(output)).toEqual([first, second]);
});

test("at most ten are told", () => {
  const output = Array.from({ length: 50 }, (_, index) => line("an unexpected error", `/${index}`)).join(
    "\n",
  );
  expect(unexpectedErrors(output)).toHaveLength(10);
});
