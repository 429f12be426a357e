import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildImage } from "./archive.ts";
import { buildCellImage, type CellImages } from "./cell.ts";
import { textFile } from "./entries.ts";
import { makeLayer } from "./layer.ts";
import { type Unpacked, unpackImage } from "./testing/unpacked.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const before = process.env.FULFILLMENT_CELLS_CACHE;
let work: string;
let checkout: string;
let first: CellImages;
let unpacked: Unpacked;

/** A small checkout with the real packages; its cache is its own. */
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "images-test-"));
  process.env.FULFILLMENT_CELLS_CACHE = join(work, "cache");
  checkout = join(work, "checkout");
  mkdirSync(join(checkout, "platform", "testing"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  for (const name of ["package.json", "package-lock.json"])
    copyFileSync(join(ROOT, name), join(checkout, name));
  writeFileSync(join(checkout, "platform", "clock.ts"), "export const one = 1;\n");
  writeFileSync(join(checkout, "platform", "clock.test.ts"), "");
  writeFileSync(join(checkout, "platform", "testing", "fake.ts"), "");
  first = await buildCellImage(checkout);
  unpacked = await unpackImage([first.base.archive, first.cell.archive], join(work, "unpacked"));
});

afterAll(() => {
  if (before === undefined) delete process.env.FULFILLMENT_CELLS_CACHE;
  else process.env.FULFILLMENT_CELLS_CACHE = before;
  rmSync(work, { recursive: true, force: true });
});

it("holds Node, the packages and the source, and nothing of a developer", () => {
  const app = join(unpacked.root, "app");
  expect(statSync(join(unpacked.root, "usr/local/bin/node")).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(app, "platform/clock.ts"), "utf8")).toBe("export const one = 1;\n");
  expect(readdirSync(join(app, "platform"))).toEqual(["clock.ts"]);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const packages = readdirSync(join(app, "node_modules"));
  for (const name of Object.keys(dependencies)) {
    if (name !== "node")
      expect(statSync(join(app, "node_modules", name, "package.json")).isFile()).toBe(true);
  }
  for (const name of [...Object.keys(devDependencies), "node"]) expect(packages).not.toContain(name);
});

it("runs as a user who is not root and is known by name", () => {
  expect(unpacked.config).toMatchObject({
    User: "10001:10001",
    WorkingDir: "/app",
    Entrypoint: ["/usr/local/bin/node"],
  });
  expect(readFileSync(join(unpacked.root, "etc/passwd"), "utf8")).toMatch(/^cells:x:10001:10001:/m);
  expect(statSync(join(unpacked.root, "tmp")).mode & 0o7777).toBe(0o1777);
});

it("stays small: what a change of the source makes new is under 10 MB, all of it under 250 MB", () => {
  expect(statSync(first.cell.archive).size).toBeLessThan(10e6);
  expect(statSync(first.base.archive).size).toBeLessThan(250e6);
});

it("has the same name and bytes when it is made again from nothing", async () => {
  const bytes = readFileSync(first.cell.archive);
  rmSync(join(work, "cache"), { recursive: true });
  const again = await buildCellImage(checkout);
  expect([again.base.ref, again.cell.ref]).toEqual([first.base.ref, first.cell.ref]);
  expect(readFileSync(again.cell.archive).equals(bytes)).toBe(true);
});

it("gets a new name when a byte of the source changes, while the base keeps its own", async () => {
  // The same length and time: only the content tells them apart.
  const path = join(checkout, "platform", "clock.ts");
  writeFileSync(path, "export const one = 2;\n");
  const changed = await buildCellImage(checkout);
  expect(changed.cell.ref).not.toBe(first.cell.ref);
  expect(changed.base).toMatchObject({ ref: first.base.ref, archive: first.base.archive });
});

it("keeps a few archives of each name and forgets the ones used longest ago", async () => {
  const refs: string[] = [];
  for (let n = 0; n < 7; n += 1) {
    const layers = [await makeLayer([textFile("n", String(n))])];
    refs.push((await buildImage({ name: "many", layers, config: { User: "1:1" } })).archive);
  }
  const kept = readdirSync(join(work, "cache", "images")).filter((name) => name.startsWith("many-"));
  expect(kept).toHaveLength(4);
  expect(kept.map((name) => join(work, "cache", "images", name))).toContain(refs.at(-1));
});
