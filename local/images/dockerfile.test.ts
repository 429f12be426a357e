import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cellConfig, SOURCE_FOLDERS } from "./cell.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const lines = readFileSync(join(ROOT, "Dockerfile"), "utf8").split("\n");
const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");

function instruction(name: string): string | undefined {
  return lines.findLast((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
}

describe("the Dockerfile makes the image of the local cluster", () => {
  const config = cellConfig();

  it("with the same user, folder, program and environment", () => {
    expect(instruction("USER")).toBe(config.User);
    expect(instruction("WORKDIR")).toBe(config.WorkingDir);
    expect(JSON.parse(instruction("ENTRYPOINT") ?? "")).toEqual(config.Entrypoint);
    const ours = config.Env?.filter((one) => !one.startsWith("PATH="));
    expect(instruction("ENV")?.split(" ").sort()).toEqual(ours?.toSorted());
  });

  it("from the same folders", () => {
    const allowed = ignored.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
    const files = ["package.json", "package-lock.json", ".npmrc"];
    expect(allowed.filter((name) => !files.includes(name)).sort()).toEqual(SOURCE_FOLDERS.toSorted());
  });

  it("with the Node of the package file", () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const major = String(dependencies.node).split(".")[0];
    const bases = lines.filter((line) => line.startsWith("FROM "));
    expect(bases.map((line) => line.split(" ")[1])).toEqual([`node:${major}-slim`, `node:${major}-slim`]);
  });
});
