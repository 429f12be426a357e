import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
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

  it("comes back as it was", async () => {
    await saveTable(dir, table(7, cellNamed("a")));
    expect(await readSavedTable(dir)).toEqual(table(7, cellNamed("a")));
  });

  it("is none when the folder is empty or the file was cut short", async () => {
    expect(await readSavedTable(dir)).toBeUndefined();
    await saveTable(dir, table(7, cellNamed("a")));
    const file = join(dir, "routing-table.json");
    await writeFile(file, (await readFile(file, "utf8")).slice(0, 40));
    expect(await readSavedTable(dir)).toBeUndefined();
  });
});
