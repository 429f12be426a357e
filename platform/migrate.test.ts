import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { migrationOf, readMigrations, schemaHash, splitStatements } from "./migrate.ts";
import { templateStatements } from "./template.ts";

describe("statements", () => {
  test.each([
    ["nothing", "", []],
    ["only comments", "-- a;\n  -- b\n", []],
    ["one without an end", "SELECT 1", ["SELECT 1"]],
    [
      "two over several lines",
      "CREATE TABLE a (\n  b INT8\n);\n\nSELECT 1;\n",
      ["CREATE TABLE a (\n  b INT8\n)", "SELECT 1"],
    ],
    ["a semicolon in a line", "SELECT ';', 1;\nSELECT 2; ", ["SELECT ';', 1", "SELECT 2"]],
    ["a comment between lines", "SELECT\n-- why;\n1;", ["SELECT\n1"]],
  ])("%s", (_name, text, expected) => {
    expect(splitStatements(text)).toEqual(expected);
  });
});

test("files are taken in order, others are left alone, an absent folder is empty", async () => {
  const folder = await mkdtemp(join(tmpdir(), "schema-"));
  try {
    for (const name of ["002-b.sql", "001-a.sql", "010-c.sql", "notes.md", "1-x.sql"])
      await writeFile(join(folder, name), `SELECT '${name}';\n`);
    const migrations = await readMigrations("orders", folder);
    expect(migrations.map(({ name }) => name)).toEqual([
      "orders/001-a.sql",
      "orders/002-b.sql",
      "orders/010-c.sql",
    ]);
    expect(migrations[0]?.statements).toEqual(["SELECT '001-a.sql'"]);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(await readMigrations("orders", join(folder, "gone"))).toEqual([]);
});

test("a comment does not change the hash of a file, a statement does; the schema's hash covers names and order", () => {
  const one = migrationOf("a/1", splitStatements("SELECT 1;\n-- why\nSELECT 2;"));
  expect(migrationOf("a/1", splitStatements("SELECT 1;\nSELECT 2;")).sha256).toBe(one.sha256);
  expect(migrationOf("a/1", ["SELECT 1", "SELECT 3"]).sha256).not.toBe(one.sha256);
  const two = migrationOf("a/2", ["SELECT 1"]);
  const hashes = [[one, two], [two, one], [one], [{ ...one, name: "b/1" }, two]].map(schemaHash);
  expect(new Set(hashes).size).toBe(4);
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
});

test("the common tables may be made twice, and use nothing that only one of the two databases has", () => {
  for (const statement of templateStatements("orders")) {
    expect(statement).toMatch(/^CREATE (TABLE|INDEX) IF NOT EXISTS /);
    expect(statement).not.toMatch(/SERIAL|TRIGGER|ADVISORY|UNLOGGED|plpgsql|IDENTITY|\bINT\b|TIMESTAMP\b/i);
  }
});
