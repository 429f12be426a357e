import {
  createLocalJWKSet,
  errors,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from "jose";
import { z } from "zod";
import { type Failure, fail } from "./problem.ts";

export const USER_ROLES = ["customer", "picker", "courier", "staff"] as const;

/** An end user as the region's identity provider describes them. */
export interface User {
  readonly sub: string;
  readonly roles: readonly (typeof USER_ROLES)[number][];
  /** Centers where the roles of staff, pickers and couriers count; `*` is every center. Customers need none. */
  readonly centers: readonly string[];
}

export interface UserVerifier {
  /** Reads `Authorization: Bearer <JWT>`. Failures are `unauthenticated` with a sentence, never the token. */
  verify(authorization: string | undefined): Promise<{ readonly ok: true; readonly user: User } | Failure>;
}

export interface UserVerifierOptions {
  readonly jwksUrl: string;
  /** The `aud` that a token must have; not looked at when absent. */
  readonly audience?: string | undefined;
  /** The `iss` that a token must have; not looked at when absent. */
  readonly issuer?: string | undefined;
  /** How often keys are fetched anew. */
  readonly refreshMs?: number;
  /** An unknown key id makes one early fetch, but not more often than this. */
  readonly cooldownMs?: number;
  readonly now?: () => number;
}

const claimsSchema = z.object({
  sub: z.string().min(1).max(128),
  roles: z.array(z.enum(USER_ROLES)).max(8).default(["customer"]),
  centers: z.array(z.string().max(40)).max(64).default([]),
});

/**
 * Checks users' tokens (ES256 or RS256) with the keys at `jwksUrl`. The last good keys are kept for as
 * long as the provider is away, so that an outage there stops new keys, not orders.
 */
export function createUserVerifier(options: UserVerifierOptions): UserVerifier {
  const { jwksUrl, audience, issuer, refreshMs = 60_000, cooldownMs = 5_000, now = Date.now } = options;
  let keys: ReturnType<typeof createLocalJWKSet> | undefined;
  let fetchedAtMs = Number.NEGATIVE_INFINITY;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let pending: Promise<void> | undefined;

  async function fetchKeys(): Promise<void> {
    triedAtMs = now();
    const response = await fetch(jwksUrl, { signal: AbortSignal.timeout(3_000) });
    if (!response.ok) throw new Error(`the key set answered ${response.status}`);
    keys = createLocalJWKSet((await response.json()) as JSONWebKeySet);
    fetchedAtMs = now();
  }

  async function refresh(maxAgeMs: number): Promise<void> {
    if (now() - fetchedAtMs < maxAgeMs) return;
    if (keys && now() - triedAtMs < cooldownMs) return;
    pending ??= fetchKeys().finally(() => {
      pending = undefined;
    });
    await pending.catch(() => undefined);
  }

  async function payloadOf(token: string): Promise<JWTPayload> {
    await refresh(refreshMs);
    if (!keys) throw new KeysAway();
    const rules = {
      algorithms: ["ES256", "RS256"],
      clockTolerance: 5,
      requiredClaims: ["exp", "sub"],
      ...(audience === undefined ? {} : { audience }),
      ...(issuer === undefined ? {} : { issuer }),
    };
    try {
      return (await jwtVerify(token, keys, rules)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh(cooldownMs);
      return (await jwtVerify(token, keys, rules)).payload;
    }
  }

  return {
    async verify(authorization) {
      const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? "")?.[1];
      if (!token)
        return fail("unauthenticated", "Send `Authorization: Bearer <token>` with a token of the region.");
      try {
        const claims = claimsSchema.safeParse(await payloadOf(token));
        if (claims.success) return { ok: true, user: claims.data };
        return fail("unauthenticated", "The token's sub, roles or centers are not what this region issues.");
      } catch (error) {
        if (error instanceof KeysAway)
          return fail(
            "unavailable",
            "No keys of the identity provider are known yet; try again in two seconds.",
          );
        if (error instanceof errors.JWTExpired)
          return fail("unauthenticated", "The token has expired; get a new one.");
        if (error instanceof errors.JWTClaimValidationFailed)
          return fail(
            "unauthenticated",
            `The token's ${error.claim} is not what this region asks for; get one that is meant for it.`,
          );
        if (error instanceof errors.JOSEError)
          return fail("unauthenticated", "The token was not signed by this region.");
        throw error;
      }
    },
  };
}

class KeysAway extends Error {}

export interface UserTokenIssuer {
  issue(user: User, ttlSeconds: number): Promise<string>;
}

/** Signs users' tokens with a private ES256 key; for tests and the stand-in of an identity provider. */
export async function createUserTokenIssuer(
  jwk: JWK,
  names: { readonly issuer?: string; readonly audience?: string } = {},
): Promise<UserTokenIssuer> {
  const key = await importJWK(jwk, "ES256");
  const header = { alg: "ES256", ...(jwk.kid === undefined ? {} : { kid: jwk.kid }) };
  return {
    issue: ({ sub, roles, centers }, ttlSeconds) =>
      new SignJWT({
        roles,
        centers,
        ...(names.issuer === undefined ? {} : { iss: names.issuer }),
        ...(names.audience === undefined ? {} : { aud: names.audience }),
      })
        .setProtectedHeader(header)
        .setSubject(sub)
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1000) + ttlSeconds)
        .sign(key),
  };
}
