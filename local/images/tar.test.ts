import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type TarEntry, tarSize, tarStream } from "./tar.ts";

async function bytesOf(entries: readonly TarEntry[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of tarStream(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface Member {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly mtime: number;
  readonly target: string;
  readonly content: string;
}

/** A reader written from the standard and not from the writer: header checksums, prefix, pax records. */
function readTar(bytes: Buffer): Member[] {
  const members: Member[] = [];
  let pax: Record<string, string> = {};
  for (let at = 0; bytes[at] !== 0; ) {
    const block = bytes.subarray(at, at + 512);
    const text = (from: number, to: number) => block.subarray(from, to).toString().split("\0")[0] ?? "";
    const number = (from: number, to: number) => Number.parseInt(text(from, to), 8);
    const blank = Buffer.from(block).fill(" ", 148, 156);
    expect(number(148, 156)).toBe(blank.reduce((sum, byte) => sum + byte, 0));
    expect(text(257, 263)).toBe("ustar");
    const size = number(124, 136);
    const content = bytes.subarray(at + 512, at + 512 + size).toString();
    at += 512 + Math.ceil(size / 512) * 512;
    if (text(156, 157) === "x") {
      pax = readPax(Buffer.from(content));
      continue;
    }
    const path = pax.path ?? [text(345, 500), text(0, 100)].filter((part) => part !== "").join("/");
    members.push({
      ...{
        path,
        type: text(156, 157),
        mode: number(100, 108),
        uid: number(108, 116),
        mtime: number(136, 148),
      },
      ...{ target: pax.linkpath ?? text(157, 257), content },
    });
    pax = {};
  }
  return members;
}

function readPax(bytes: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const length = Number.parseInt(bytes.subarray(at).toString("latin1"), 10);
    const record = bytes.subarray(at, at + length).toString();
    expect(record.endsWith("\n")).toBe(true);
    const [, key, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(record) ?? [];
    records[key ?? ""] = value ?? "";
    at += length;
  }
  return records;
}

/** Names as short as a letter and longer than every field, with letters of several bytes. */
const part = fc.oneof(
  fc.stringMatching(/^[a-z][a-zé0-9._-]{0,30}$/),
  fc.stringMatching(/^[a-z][a-zé0-9._-]{90,130}$/),
);
const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join("/"));
const common = { path, mode: fc.constantFrom(0o644, 0o755, 0o1777), uid: fc.constantFrom(0, 10_001) };
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  fc.record({ ...common, kind: fc.constant("directory" as const) }),
  fc.record({ ...common, kind: fc.constant("symlink" as const), target: path }),
  fc.record({
    ...common,
    kind: fc.constant("file" as const),
    content: fc.string({ maxLength: 1_500 }).map((text) => Buffer.from(text)),
  }),
);

describe("tarStream", () => {
  it("says what a reader of the standard reads, in as many bytes as announced", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (entries) => {
        const bytes = await bytesOf(entries);
        expect(bytes.length).toBe(tarSize(entries));
        expect(bytes.length % 512).toBe(0);
        expect(readTar(bytes)).toEqual(
          entries.map((one) => ({
            path: one.kind === "directory" ? `${one.path}/` : one.path,
            type: { file: "0", symlink: "2", directory: "5" }[one.kind],
            mode: one.mode,
            uid: one.uid,
            mtime: 0,
            target: one.kind === "symlink" ? one.target : "",
            content: one.kind === "file" && "content" in one ? one.content.toString() : "",
          })),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("counts the digits of a pax record's own length", async () => {
    // A short one needs no record; where the number reaches 1,000 it gains a digit.
    for (let length = 970; length <= 1_010; length += 1) {
      const target = "t".repeat(length);
      const [member] = readTar(await bytesOf([{ kind: "symlink", path: "a", mode: 0o777, target }]));
      expect(member?.target).toBe(target);
    }
  });

  it("refuses a file that is not as long as its header says", async () => {
    const stream = async function* () {
      yield Buffer.from("abc");
    };
    await expect(bytesOf([{ kind: "file", path: "a", mode: 0o644, stream, sizeBytes: 4 }])).rejects.toThrow(
      "a has 3 bytes instead of 4",
    );
  });
});
