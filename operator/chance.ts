import { randomBytes } from "node:crypto";
import type { KeyPair } from "./build/secrets.ts";

/** Everything that an operator draws by lot. */
export interface Chance {
  /** At least 0 and less than 1; spreads waits. */
  readonly random: () => number;
  /** A fresh secret word. */
  readonly word: () => string;
  /** A fresh key of a cell or of a region's gateways. */
  readonly keyPair: () => Promise<KeyPair>;
}

/** From the system's source of randomness. */
export const systemChance: Chance = {
  random: Math.random,
  word: () => randomBytes(32).toString("hex"),
  keyPair: async () => {
    // Loaded when the first key is needed: an operator that takes over cells needs none, and is at work the sooner.
    const { generateKey } = await import("../platform/trust.ts");
    const { privateJwk, publicJwk } = await generateKey();
    return { privateJwk: { ...privateJwk }, publicJwk: { ...publicJwk } };
  },
};
