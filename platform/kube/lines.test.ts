import fc from "fast-check";
import { expect, it } from "vitest";
import { createLineSplitter, LineTooLongError } from "./lines.ts";

it("gives the same lines wherever the bytes are cut, also inside a character", () => {
  const line = fc
    .string({ unit: "grapheme", minLength: 1 })
    .filter((text) => !/[\n\r]/.test(text) && text.trim() !== "");
  fc.assert(
    fc.property(fc.array(line), fc.infiniteStream(fc.integer({ min: 1, max: 7 })), (lines, sizes) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      const split = createLineSplitter();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes.next().value as number;
        found.push(...split(bytes.subarray(at, at + size)));
        at += size;
      }
      expect(found).toEqual(lines);
    }),
  );
});

it("drops a frame that was cut off, and empty lines", () => {
  const split = createLineSplitter();
  expect(split(Buffer.from('\n\n{"a":1}\n{"b":'))).toEqual(['{"a":1}']);
});

it("refuses a line without end", () => {
  const split = createLineSplitter(10);
  split(Buffer.from("123456789"));
  expect(() => split(Buffer.from("0123"))).toThrow(LineTooLongError);
});
