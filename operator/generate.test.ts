import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { generatedFiles } from "./generate.ts";

describe("generated files", () => {
  it.each([...generatedFiles()])(
    "%s is what the schema says: run `npm run generate` and commit",
    (path, text) => {
      expect(readFileSync(join(import.meta.dirname, "..", path), "utf8")).toBe(text);
    },
  );
});
