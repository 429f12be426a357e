import { expect, test } from "vitest";
import { clusterIdOf } from "./kafka.ts";

test("no cluster id looks like an option, and each is 16 bytes", () => {
  for (let first = 0; first < 256; first++) {
    const id = clusterIdOf(Buffer.concat([Buffer.of(first), Buffer.alloc(15, 255)]));
    expect(id).toMatch(/^[A-Za-z0-9_]/);
    expect(Buffer.from(id, "base64url")).toHaveLength(16);
  }
});
