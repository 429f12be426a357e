import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acceptTable, readSavedTable, saveTable } from "./table.ts";
import { cellNamed } from "./testing/tables.ts";

const table = (version: number, ...cells: ReturnType<typeof cellNamed>[]) => ({ version, cells });

describe("acceptTable", () => {
  it("takes a newer table and reads decimal strings as numbers", () => {
    const spec = {
      version: 2,
      cells: [{ ...cellNamed("a"), location: { latitude: "37.5", longitude: "127.0" } }],
    };
    expect(acceptTable(table(1), spec)).toMatchObject({
      ok: true,
      table: { cells: [{ location: { latitude: 37.5, longitude: 127 } }] },
    });
  });

  it.each([
    ["no object", table(1), undefined, "malformed"],
    ["a weight over 100", table(1), table(2, { ...cellNamed("a"), weight: 101 }), "malformed"],
    ["an older version", table(5), table(4), "older"],
    ["the same cell twice", table(1), table(2, cellNamed("a"), cellNamed("a")), "duplicate-cell"],
    [
      "an epoch that goes back",
      table(1, cellNamed("a", { epoch: 9 })),
      table(2, cellNamed("a", { epoch: 8 })),
      "epoch-backwards",
    ],
  ])("refuses %s", (_name, current, spec, reason) => {
    expect(acceptTable(current, spec)).toMatchObject({ ok: false, reason });
  });
});

describe("the table on disk", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "gateway-"));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const file = () => join(dir, "routing-table.json");

  it("comes back as it was", async () => {
    await saveTable(dir, table(7, cellNamed("a")));
    const saved = await readSavedTable(dir);
    expect(saved).toEqual({ kind: "table", table: table(7, cellNamed("a")), savedAtMs: expect.any(Number) });
  });

  it("is none in an empty folder, and in one that is not there", async () => {
    expect(await readSavedTable(dir)).toEqual({ kind: "none" });
    expect(await readSavedTable(join(dir, "away"))).toEqual({ kind: "none" });
  });

  it("replaces what a save that was broken off has left", async () => {
    await writeFile(`${file()}.new`, '{"version":');
    await saveTable(dir, table(8, cellNamed("a")));
    expect(await readSavedTable(dir)).toMatchObject({ kind: "table", table: { version: 8 } });
  });

  it.each<[string, (whole: string) => string]>([
    ["cut short", (whole) => whole.slice(0, 40)],
    ["empty", () => ""],
    ["JSON of something else", () => '{"version":"seven","cells":[]}'],
    ["binary", () => "\u0000\u0001"],
  ])("is damaged, not none, when the file is %s", async (_name, spoil) => {
    await saveTable(dir, table(7, cellNamed("a")));
    await writeFile(file(), spoil(await readFile(file(), "utf8")));
    const saved = await readSavedTable(dir);
    expect(saved).toEqual({ kind: "damaged", file: file(), detail: expect.stringMatching(/./) });
  });

  it("is damaged when a folder has its name", async () => {
    await mkdir(file());
    expect(await readSavedTable(dir)).toMatchObject({
      kind: "damaged",
      detail: expect.stringContaining("EISDIR"),
    });
  });
});
