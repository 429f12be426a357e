import { expect, test } from "vitest";
import {
  fail,
  isFailure,
  isProblemCode,
  PROBLEMS,
  type ProblemCode,
  retryAfterOf,
  toProblem,
} from "./problem.ts";

const codes = Object.keys(PROBLEMS) as ProblemCode[];

test("every status of the API has a code", () => {
  const statuses = new Set(codes.map((code) => PROBLEMS[code].status));
  for (const status of [400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503])
    expect(statuses).toContain(status);
});

test.each(codes)("%s is a problem document", (code) => {
  const failure = fail(code, "Do that.", { short: ["a"] });
  expect(isFailure(failure)).toBe(true);
  expect(toProblem(failure, "/v1/x")).toEqual({
    type: `urn:fulfillment-cells:problem:${code}`,
    title: PROBLEMS[code].title,
    status: PROBLEMS[code].status,
    detail: "Do that.",
    instance: "/v1/x",
    code,
    short: ["a"],
  });
});

test("further members never hide the document's own", () => {
  const problem = toProblem(fail("conflict", "Do that.", { status: 200, code: "x", detail: "y" }), "/");
  expect(problem).toMatchObject({ status: 409, code: "conflict", detail: "Do that." });
});

test("what is over soon says when to come back", () => {
  for (const code of codes) {
    const { status } = PROBLEMS[code];
    const expected = status === 503 || status === 429 || code === "request-in-progress" ? 1 : undefined;
    expect(retryAfterOf(fail(code, "")), code).toBe(expected);
  }
  expect(retryAfterOf(fail("unavailable", "", undefined, 9))).toBe(9);
  expect(retryAfterOf(fail("conflict", "", undefined, 9))).toBe(9);
});

test("nothing else is taken for a failure or a code", () => {
  for (const value of [undefined, null, "x", {}, { ok: true, code: "x" }, { ok: false }])
    expect(isFailure(value)).toBe(false);
  for (const value of [undefined, 1, "toString", "nothing", "__proto__"])
    expect(isProblemCode(value)).toBe(false);
});
