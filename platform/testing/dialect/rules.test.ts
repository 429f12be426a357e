import { beforeAll, describe, expect, it } from "vitest";
import { loadGrammar } from "./parse.ts";
import { breachesOf } from "./rule.ts";
import { DENY_LIST } from "./rules.ts";

beforeAll(loadGrammar);

describe.each(DENY_LIST)("rule $name", (rule) => {
  const context = { inTransaction: rule.inTransaction === true };
  const broken = (text: string) => breachesOf(text, DENY_LIST, context).map(({ rule: name }) => name);

  it("refuses its example and nothing else does", () => {
    expect(broken(rule.rejected)).toEqual([rule.name]);
  });
  it("takes what only looks like it", () => {
    expect(broken(rule.accepted)).toEqual([]);
  });
  it("says why with a source, and what to write instead", () => {
    expect(rule.why).toMatch(/#\d+|docs v\d+\.\d+|parser's own list/);
    expect(rule.instead.length).toBeGreaterThan(5);
  });
});

it("names each rule once", () => {
  const names = DENY_LIST.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
