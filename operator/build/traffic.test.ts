import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CONSUMERS } from "../../cell/roles.ts";
import { SLICE_NAMES } from "../../platform/slices.ts";
import { FLOWS } from "./traffic.ts";

describe("the list of allowed traffic", () => {
  it("lets each producer post its events to exactly those who consume them", () => {
    const events = FLOWS.filter(({ why }) => why.startsWith("events while")).map(
      ({ from, to }) => `${from} ${to}`,
    );
    const consumed = SLICE_NAMES.flatMap((from) => (CONSUMERS.get(from) ?? []).map((to) => `${from} ${to}`));
    expect(events.sort()).toEqual(consumed.sort());
  });

  it("lets slices command exactly those whose clients their code takes", () => {
    const flows = FLOWS.filter(
      ({ from, to, why }) => isSlice(from) && isSlice(to) && !why.startsWith("events while"),
    ).map(({ from, to }) => `${from} ${to}`);
    const used = SLICE_NAMES.flatMap((from) => clientsOf(from).map((to) => `${from} ${to}`));
    expect(flows.sort()).toEqual(used.sort());
  });

  it("names no flow twice for one reason", () => {
    const keys = FLOWS.map(({ from, to, port, why }) => `${from} ${to} ${port} ${why}`);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

const isSlice = (name: string) => (SLICE_NAMES as readonly string[]).includes(name);

/** Slices whose clients a slice takes out of its context. */
function clientsOf(slice: string): string[] {
  const root = join(import.meta.dirname, "..", "..", "cell", slice);
  const files = globSync("**/*.ts", { cwd: root, exclude: (path) => path.includes("test") });
  const text = files.map((file) => readFileSync(join(root, file), "utf8")).join("\n");
  const named = [...text.matchAll(/\bclients\.(\w+)/g)].map(([, name = ""]) => name);
  const taken = [...text.matchAll(/const \{([\w\s,]+)\} = clients\b/g)].flatMap(([, names = ""]) =>
    names.split(",").map((name) => name.trim()),
  );
  return [...new Set([...named, ...taken])].filter(isSlice);
}
