import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { publicHalf } from "../platform/credentials.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { firstKeys, fromSecret, type GatewayKeys, keyStep, SPREAD_MS, toSecret } from "./gateway-keys.ts";

/** Keys that tell their order. */
function numberedKeys() {
  let count = 0;
  return {
    async keyPair() {
      const publicJwk = { kty: "EC", kid: `key-${++count}` };
      return { privateJwk: { ...publicJwk, d: "secret" }, publicJwk };
    },
  };
}
const kids = ({ published }: GatewayKeys) => published.map(({ kid }) => kid);
const secretOf = ({ annotations, data }: ReturnType<typeof toSecret>): KubeObject => ({
  ...{
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "gateway-key-a", namespace: "b", annotations },
    data,
  },
});
/** Whole seconds, as annotations hold them. */
const START_MS = 1_700_000_000_000;

describe("the keys of a region's gateways", () => {
  it("begin with one that signs and one that will, both published", async () => {
    const keys = await firstKeys(undefined, START_MS, numberedKeys());
    expect(keys).toMatchObject({
      signing: { kid: "key-1", d: "secret" },
      next: { kid: "key-2", d: "secret" },
    });
    expect(keys.published).toEqual([publicHalf(keys.signing), publicHalf(keys.next ?? {})]);
    expect(await keyStep(keys, undefined, START_MS, numberedKeys())).toEqual({ kind: "rest" });
  });

  it("change when asked to, and the former one is worthless a while later", async () => {
    const chance = numberedKeys();
    const first = await firstKeys(undefined, START_MS, chance);
    const early = await keyStep(first, "please", START_MS + 60_000, chance);
    expect(early).toEqual({ kind: "wait", ms: SPREAD_MS - 60_000 });
    const startedMs = START_MS + SPREAD_MS;
    const started = await keyStep(first, "please", startedMs, chance);
    if (started.kind !== "started") throw new Error(started.kind);
    expect(started.keys.signing).toEqual(first.next);
    expect(kids(started.keys)).toEqual(["key-2", "key-3", "key-1"]);
    expect(started.keys.published.some((key) => "d" in key)).toBe(false);
    expect(await keyStep(started.keys, "please", startedMs + 1_000, chance)).toEqual({
      kind: "wait",
      ms: SPREAD_MS - 1_000,
    });
    const ended = await keyStep(started.keys, "please", startedMs + SPREAD_MS, chance);
    if (ended.kind !== "ended") throw new Error(ended.kind);
    expect(kids(ended.keys)).toEqual(["key-2", "key-3"]);
    expect(await keyStep(ended.keys, "please", startedMs + 9 * SPREAD_MS, chance)).toEqual({ kind: "rest" });
  });

  it("of a Secret from before there was a next key get one first, and nothing else changes", async () => {
    const chance = numberedKeys();
    const signing = (await chance.keyPair()).privateJwk;
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
    const data = { "gateway-key.jwk": encode(signing), "jwks.json": encode({ keys: [publicHalf(signing)] }) };
    const found = fromSecret(secretOf({ annotations: {}, data } as never));
    if (found === undefined) throw new Error("not read");
    const step = await keyStep(found, "at once", START_MS, chance);
    if (step.kind !== "prepared") throw new Error(step.kind);
    expect(step.keys.signing).toEqual(signing);
    expect(kids(step.keys)).toEqual(["key-1", "key-2"]);
    expect(await keyStep(step.keys, "at once", START_MS, chance)).toEqual({ kind: "wait", ms: SPREAD_MS });
  });

  it("are published again when somebody took one out of the list", async () => {
    const keys = await firstKeys(undefined, START_MS, numberedKeys());
    const step = await keyStep({ ...keys, published: [] }, undefined, START_MS, numberedKeys());
    if (step.kind !== "prepared") throw new Error(step.kind);
    expect(kids(step.keys)).toEqual(["key-1", "key-2"]);
  });

  it("are never met for a request from before they were made, and a clock set back keeps nobody waiting longer", async () => {
    const chance = numberedKeys();
    const keys = await firstKeys("old", START_MS, chance);
    expect(await keyStep(keys, "old", START_MS + 9 * SPREAD_MS, chance)).toEqual({ kind: "rest" });
    expect(await keyStep(keys, "new", START_MS - 9 * SPREAD_MS, chance)).toEqual({
      kind: "wait",
      ms: SPREAD_MS,
    });
  });

  it("survive their Secret, and what cannot be read is nothing", async () => {
    const keys = await firstKeys("x", START_MS, numberedKeys());
    expect(fromSecret(secretOf(toSecret(keys)))).toEqual(keys);
    expect(fromSecret(undefined)).toBeUndefined();
    for (const words of ["", "{", "null", "[]", '{"keys":7}'])
      for (const name of ["gateway-key.jwk", "jwks.json"]) {
        const secret = toSecret(keys);
        const data = { ...secret.data, [name]: Buffer.from(words).toString("base64") };
        expect(fromSecret(secretOf({ ...secret, data })), `${name} ${words}`).toBeUndefined();
      }
  });

  it("are known for long before they sign, and good for long after, whenever somebody asks", async () => {
    const moves = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 2 * SPREAD_MS }), asks: fc.boolean() }),
      {
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(moves, async (list) => {
        const chance = numberedKeys();
        let nowMs = START_MS;
        let keys = await firstKeys(undefined, nowMs, chance);
        let asked = 0;
        const publishedAtMs = new Map(keys.published.map(({ kid }) => [kid, nowMs]));
        const signedUntilMs = new Map<unknown, number>();
        for (const { afterMs, asks } of list) {
          nowMs += Math.round(afterMs / 1000) * 1000;
          if (asks) asked++;
          const before = keys;
          const step = await keyStep(keys, asked === 0 ? undefined : `${asked}`, nowMs, chance);
          if (step.kind === "rest" || step.kind === "wait") continue;
          keys = fromSecret(secretOf(toSecret(step.keys)))!;
          for (const { kid } of keys.published) if (!publishedAtMs.has(kid)) publishedAtMs.set(kid, nowMs);
          if (keys.signing.kid !== before.signing.kid) {
            signedUntilMs.set(before.signing.kid, nowMs);
            expect(nowMs - (publishedAtMs.get(keys.signing.kid) ?? nowMs)).toBeGreaterThanOrEqual(SPREAD_MS);
          }
          for (const kid of kids(before).filter((one) => !kids(keys).includes(one)))
            expect(nowMs - (signedUntilMs.get(kid) ?? nowMs)).toBeGreaterThanOrEqual(SPREAD_MS);
          expect(kids(keys)).toEqual(expect.arrayContaining([keys.signing.kid, keys.next?.kid]));
          expect(keys.published.length).toBeLessThanOrEqual(3);
        }
      }),
    );
  });
});
