import { createLot } from "../../platform/testing/lot.ts";
import type { Chance } from "../chance.ts";

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
