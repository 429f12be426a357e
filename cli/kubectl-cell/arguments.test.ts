import { describe, expect, it } from "vitest";
import { COMMANDS, parseWords, timeoutMs } from "./arguments.ts";
import { complete } from "./complete.ts";
import { editDistance, nearest } from "./near.ts";

describe("a command line", () => {
  it.each([
    ["plan -f fc.yaml", "plan", undefined],
    ["plan --delete seoul-mapo -o json", "plan", undefined],
    ["status", "status", undefined],
    ["status seoul-mapo --context=prod", "status", "seoul-mapo"],
    ["--kubeconfig k drain seoul-mapo --wait -y", "drain", "seoul-mapo"],
    ["undrain seoul-mapo", "activate", "seoul-mapo"],
    ["unfence seoul-mapo", "activate", "seoul-mapo"],
    ["", "help", undefined],
    ["drain --help", "help", undefined],
  ])("%s", (line, command, name) => {
    const found = parseWords(line.split(" ").filter((word) => word !== ""));
    expect([found.command, found.name]).toEqual([command, name]);
  });

  it.each([
    ["frobnicate", /no command "frobnicate": use plan/],
    ["drain", /drain needs the name of a center/],
    ["drain a b", /takes one center, but 2 were given/],
    ["plan seoul-mapo", /takes no name, but "seoul-mapo" was given/],
    ["status --wait", /status has no option --wait/],
    ["status -f x", /status has no option --filename/],
    ["plan -f a --delete b", /not both/],
    ["status -o yaml", /text or json, not "yaml"/],
    ["drain a --timeout soon", /--timeout is a number of s, m or h/],
    ["plan --frob", /Unknown option '--frob'/],
    ["plan -f", /-f, --filename <value>' argument missing/],
  ])("%s is refused in a sentence", (line, sentence) => {
    expect(() => parseWords(line.split(" "))).toThrow(sentence);
  });

  it("has times in seconds, minutes or hours", () => {
    const of = (text: string) => timeoutMs(parseWords(["drain", "a", "--timeout", text]).values);
    expect([of("90"), of("90s"), of("2m"), of("1h")]).toEqual([90_000, 90_000, 120_000, 3_600_000]);
  });
});

describe("near names", () => {
  it("are those with few letters changed, the nearest first", () => {
    const names = ["seoul-mapo", "seoul-gangnam", "busan-haeundae", "seoul-mappo"];
    expect(nearest("seoul-map", names)).toEqual(["seoul-mapo", "seoul-mappo"]);
    expect(nearest("gangnam", names)).toEqual(["seoul-gangnam"]);
    expect(nearest("xyz", names)).toEqual([]);
  });

  it("count insertions, deletions and replacements", () => {
    expect([editDistance("", "abc"), editDistance("kitten", "sitting"), editDistance("a", "a")]).toEqual([
      3, 3, 0,
    ]);
  });
});

describe("completion", () => {
  const centers = () => Promise.resolve(["seoul-gangnam", "seoul-mapo"]);
  it.each([
    [[""], Object.keys(COMMANDS)],
    [["st"], ["status"]],
    [["drain", "seoul-m"], ["seoul-mapo"]],
    [
      ["status", ""],
      ["seoul-gangnam", "seoul-mapo"],
    ],
    [
      ["plan", "--delete", ""],
      ["seoul-gangnam", "seoul-mapo"],
    ],
    [["drain", "--w"], ["--wait"]],
    [["plan", "-o", "j"], ["json"]],
    [["drain", "seoul-mapo", ""], []],
  ])("of %j", async (words, expected) => {
    expect((await complete(words, centers)).words).toEqual(expected);
  });

  it("leaves files to the shell", async () => {
    expect(await complete(["plan", "-f", ""], centers)).toEqual({ words: [], directive: 0 });
  });
});
