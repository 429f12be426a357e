import type { Chance } from "../chance.ts";

/** A source of numbers of at least 0 and less than 1 that gives the same ones for the same seed (mulberry32). */
export function createLot(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What an operator draws, the same for the same seed. Its keys are no keys: nothing here signs with them. */
export function createChance(seed: number): Chance {
  const random = createLot(seed);
  const word = () =>
    Array.from({ length: 8 }, () => random().toString(16).slice(2, 10).padEnd(8, "0")).join("");
  return {
    random,
    word,
    keyPair: async () => {
      const publicJwk = {
        kty: "EC",
        crv: "P-256",
        x: word(),
        y: word(),
        kid: word(),
        alg: "ES256",
        use: "sig",
      };
      return { publicJwk, privateJwk: { ...publicJwk, d: word() } };
    },
  };
}
