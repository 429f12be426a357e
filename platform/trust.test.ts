import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { publicHalf } from "./credentials.ts";
import {
  createSigner,
  createVerifier,
  generateKey,
  type KeyPair,
  readKeyFile,
  verifySignature,
} from "./trust.ts";

const START_MS = Date.UTC(2026, 0, 1);
let ours: KeyPair;
let others: KeyPair;
beforeAll(async () => {
  [ours, others] = await Promise.all([generateKey(), generateKey()]);
});

/** A signer and a verifier with one clock that the test moves. */
async function pair(options: { reload?: () => Promise<{ keys: object[] }> } = {}) {
  const clock = { nowMs: START_MS };
  const now = () => clock.nowMs;
  const signer = await createSigner({ jwk: ours.privateJwk, issuer: "gateway", subject: "gateway", now });
  const verifier = createVerifier({
    keys: { keys: [ours.publicJwk] },
    audience: "seoul",
    now,
    ...(options as object),
  });
  return { clock, now, signer, verifier };
}

describe("tokens", () => {
  test("one of ours says who calls", async () => {
    const { signer, verifier } = await pair();
    expect(await verifier.verify(await signer.token("seoul"))).toEqual({
      issuer: "gateway",
      subject: "gateway",
    });
  });

  test("one for another cell is nothing here", async () => {
    const { signer, verifier } = await pair();
    expect(await verifier.verify(await signer.token("busan"))).toBeUndefined();
  });

  test("one that has expired is nothing, also when it was good before", async () => {
    const { clock, signer, verifier } = await pair();
    const token = await signer.token("seoul");
    expect(await verifier.verify(token)).toBeDefined();
    clock.nowMs += 59_000;
    expect(await verifier.verify(token)).toBeDefined();
    clock.nowMs += 10_000;
    expect(await verifier.verify(token)).toBeUndefined();
  });

  test("one signed by another key is nothing, also under our key's name", async () => {
    const { now, verifier } = await pair();
    for (const jwk of [others.privateJwk, { ...others.privateJwk, kid: ours.publicJwk.kid ?? "" }]) {
      const forger = await createSigner({ jwk, issuer: "gateway", subject: "gateway", now });
      expect(await verifier.verify(await forger.token("seoul"))).toBeUndefined();
    }
  });

  test("one whose payload was changed, whose algorithm is none, or that is no token at all", async () => {
    const { signer, verifier } = await pair();
    const [head = "", payload = "", signature = ""] = (await signer.token("seoul")).split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
    const changed = Buffer.from(JSON.stringify({ ...claims, sub: "payments" })).toString("base64url");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    for (const token of [
      `${head}.${changed}.${signature}`,
      `${none}.${payload}.`,
      "x",
      "",
      `${head}.${payload}`,
    ])
      expect(await verifier.verify(token)).toBeUndefined();
  });

  test("the same one is handed out for half a minute, then a fresh one", async () => {
    const { clock, signer } = await pair();
    const first = await signer.token("seoul");
    clock.nowMs += 29_000;
    expect(await signer.token("seoul")).toBe(first);
    expect(await signer.token("busan")).not.toBe(first);
    clock.nowMs += 2_000;
    expect(await signer.token("seoul")).not.toBe(first);
  });
});

describe("a key is changed while all runs", () => {
  test("both keys are good while both are listed", async () => {
    const { now } = await pair();
    const verifier = createVerifier({
      keys: { keys: [ours.publicJwk, others.publicJwk] },
      audience: "seoul",
      now,
    });
    for (const { privateJwk: jwk } of [ours, others]) {
      const signer = await createSigner({ jwk, issuer: "cell", subject: "orders", now });
      expect(await verifier.verify(await signer.token("seoul"))).toEqual({
        issuer: "cell",
        subject: "orders",
      });
    }
  });

  test("a key that is added later is read when a token names it; a key that is taken away is gone with it", async () => {
    let listed = [ours.publicJwk, others.publicJwk];
    let reads = 0;
    const { clock, now, signer, verifier } = await pair({
      reload: async () => {
        reads++;
        return { keys: listed };
      },
    });
    const old = await signer.token("seoul");
    expect(await verifier.verify(old)).toBeDefined();
    expect(reads).toBe(0);
    const next = await createSigner({ jwk: others.privateJwk, issuer: "cell", subject: "orders", now });
    expect(await verifier.verify(await next.token("seoul"))).toBeDefined();
    expect(reads).toBe(1);

    listed = [others.publicJwk];
    const third = await generateKey();
    const stranger = await createSigner({ jwk: third.privateJwk, issuer: "cell", subject: "x", now });
    clock.nowMs += 6_000;
    expect(await verifier.verify(await stranger.token("seoul"))).toBeUndefined();
    expect(reads).toBe(2);
    expect(await verifier.verify(old)).toBeUndefined();
    expect(await verifier.verify(await stranger.token("seoul"))).toBeUndefined();
    expect(reads).toBe(2);
  });

  test("a key that is taken away is gone after five minutes, though nobody names another", async () => {
    let listed = [ours.publicJwk, others.publicJwk];
    const { clock, signer, verifier } = await pair({ reload: async () => ({ keys: listed }) });
    expect(await verifier.verify(await signer.token("seoul"))).toBeDefined();
    listed = [others.publicJwk];
    clock.nowMs += 299_000;
    expect(await verifier.verify(await signer.token("seoul"))).toBeDefined();
    clock.nowMs += 2_000;
    expect(await verifier.verify(await signer.token("seoul"))).toBeUndefined();
  });

  test("keys that cannot be read leave the ones in hand good", async () => {
    const { now, signer, verifier } = await pair({ reload: () => Promise.reject(new Error("no such file")) });
    const next = await createSigner({ jwk: others.privateJwk, issuer: "cell", subject: "orders", now });
    expect(await verifier.verify(await next.token("seoul"))).toBeUndefined();
    expect(await verifier.verify(await signer.token("seoul"))).toBeDefined();
  });
});

describe("signatures", () => {
  test("prove their payload with the public key alone", async () => {
    const { signer } = await pair();
    const jws = await signer.sign({ key: "k1", code: "out-of-stock" });
    const key = JSON.stringify(publicHalf(ours.privateJwk));
    expect(key).not.toContain(ours.privateJwk.d);
    expect(await verifySignature(jws, key)).toEqual({ key: "k1", code: "out-of-stock" });
  });
  test("prove it with any key of a set, as while keys change", async () => {
    const { signer } = await pair();
    const jws = await signer.sign({ key: "k1" });
    const set = (keys: object[]) => JSON.stringify({ keys });
    expect(await verifySignature(jws, set([others.publicJwk, ours.publicJwk]))).toEqual({ key: "k1" });
    expect(await verifySignature(jws, set([others.publicJwk]))).toBeUndefined();
  });
  test.each([
    ["another key", (jws: string) => [jws, JSON.stringify(others.publicJwk)]],
    [
      "a changed payload",
      (jws: string) => [jws.replace(/\.[^.]*\./, ".e30."), JSON.stringify(ours.publicJwk)],
    ],
    ["a key that is none", (jws: string) => [jws, "{"]],
    ["no signature", () => ["", JSON.stringify(ours.publicJwk)]],
  ])("%s proves nothing", async (_name, change) => {
    const { signer } = await pair();
    const [jws = "", key = ""] = change(await signer.sign({ key: "k1" }));
    expect(await verifySignature(jws, key)).toBeUndefined();
  });
});

test("a key file that is broken is named and not quoted", async () => {
  const folder = await mkdtemp(join(tmpdir(), "keys-"));
  try {
    const file = join(folder, "cell-key.jwk");
    await writeFile(file, '{"d":"very-secret"');
    const error = await readKeyFile(file).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error?.message).toContain(file);
    expect(error?.message).not.toContain("very-secret");
  } finally {
    await rm(folder, { recursive: true });
  }
});
