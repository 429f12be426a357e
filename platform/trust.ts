import { readFile } from "node:fs/promises";
import {
  CompactSign,
  calculateJwkThumbprint,
  compactVerify,
  createLocalJWKSet,
  errors,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  jwtVerify,
  SignJWT,
} from "jose";

export type PublicKeys = JSONWebKeySet;
export type PrivateKey = JWK;
export type KeyPair = { readonly privateJwk: JWK; readonly publicJwk: JWK };

/** Proves who calls: ES256 tokens that are good for one cell and a minute. */
export interface Signer {
  /** A token for `audience` (a cell's name); the same one is handed out for 30 s. */
  token(audience: string): Promise<string>;
  /** A compact JWS over a JSON payload, for what must be provable later. */
  sign(payload: Readonly<Record<string, unknown>>): Promise<string>;
}

export interface SignerOptions {
  readonly jwk: JWK;
  readonly issuer: "gateway" | "cell";
  /** The slice, or `gateway`. */
  readonly subject: string;
  readonly now?: () => number;
}

export interface Caller {
  readonly issuer: "gateway" | "cell";
  readonly subject: string;
}

export interface Verifier {
  /** Undefined for a token that is expired, meant for another cell, or signed by a key that is not ours. */
  verify(token: string): Promise<Caller | undefined>;
}

const TOKEN_SECONDS = 60;
const REUSE_MS = 30_000;
const MAX_CACHED = 1_024;
const RELOAD_COOLDOWN_MS = 5_000;
const RELOAD_AFTER_MS = 300_000;

/** Makes an ES256 key pair whose key id is its RFC 7638 thumbprint. */
export async function generateKey(): Promise<KeyPair> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const named = { kid: await calculateJwkThumbprint(publicJwk), alg: "ES256", use: "sig" };
  return {
    privateJwk: { ...(await exportJWK(privateKey)), ...named },
    publicJwk: { ...publicJwk, ...named },
  };
}

/** Reads a JWK or a key set from a file; the error names the file and never its content. */
export async function readKeyFile<T extends JWK | JSONWebKeySet>(file: string): Promise<T> {
  const text = await readFile(file, "utf8");
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Error(`${file} is not JSON: it must hold a JWK or a key set`);
  }
}

/** Makes a signer out of a private JWK. */
export async function createSigner(options: SignerOptions): Promise<Signer> {
  const { jwk, issuer, subject, now = Date.now } = options;
  const key = await importJWK(jwk, "ES256");
  const header = { alg: "ES256", ...(jwk.kid === undefined ? {} : { kid: jwk.kid }) };
  const cached = new Map<string, { token: Promise<string>; atMs: number }>();

  function make(audience: string): Promise<string> {
    const seconds = Math.floor(now() / 1000);
    return new SignJWT({})
      .setProtectedHeader(header)
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + TOKEN_SECONDS)
      .sign(key);
  }

  return {
    token(audience) {
      const found = cached.get(audience);
      if (found && now() - found.atMs < REUSE_MS) return found.token;
      if (cached.size >= MAX_CACHED) cached.clear();
      const token = make(audience);
      cached.set(audience, { token, atMs: now() });
      return token;
    },
    sign: (payload) =>
      new CompactSign(new TextEncoder().encode(JSON.stringify(payload))).setProtectedHeader(header).sign(key),
  };
}

export interface VerifierOptions {
  readonly keys: PublicKeys;
  readonly audience: string;
  /** Reads the keys anew: every five minutes, so that a key that was taken away is soon worth nothing, and when a token names one that is not known, at most once in 5 s. */
  readonly reload?: () => Promise<PublicKeys>;
  readonly now?: () => number;
}

/** Makes the verifier of one cell out of the public keys it trusts. A token string is verified once, then remembered until it expires. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { audience, reload, now = Date.now } = options;
  let keys = createLocalJWKSet(options.keys);
  let reloadedAtMs = Number.NEGATIVE_INFINITY;
  let readAtMs = now();
  const known = new Map<string, { caller: Caller; untilMs: number }>();

  function check(token: string) {
    return jwtVerify(token, keys, {
      algorithms: ["ES256"],
      audience,
      clockTolerance: 5,
      requiredClaims: ["exp", "sub", "iss"],
      currentDate: new Date(now()),
    });
  }

  async function readAnew(): Promise<boolean> {
    // Keys that cannot be read now change nothing: the ones in hand stay good.
    const fresh = await reload?.().catch(() => undefined);
    readAtMs = now();
    if (!fresh) return false;
    keys = createLocalJWKSet(fresh);
    known.clear();
    return true;
  }

  /** A key that was added after the start is in the file already, or the token is nobody's. */
  async function checkWithNewKeys(token: string, error: unknown): ReturnType<typeof check> {
    if (!reload || !(error instanceof errors.JWKSNoMatchingKey) || now() - reloadedAtMs < RELOAD_COOLDOWN_MS)
      throw error;
    reloadedAtMs = now();
    if (!(await readAnew())) throw error;
    return check(token);
  }

  return {
    async verify(token) {
      if (reload && now() - readAtMs > RELOAD_AFTER_MS) await readAnew();
      const found = known.get(token);
      if (found && found.untilMs > now()) return found.caller;
      known.delete(token);
      try {
        const { payload } = await check(token).catch((error) => checkWithNewKeys(token, error));
        const { iss, sub, exp } = payload;
        if ((iss !== "gateway" && iss !== "cell") || !sub || !exp) return undefined;
        if (known.size >= MAX_CACHED) known.clear();
        const caller = { issuer: iss, subject: sub } as const;
        known.set(token, { caller, untilMs: exp * 1000 });
        return caller;
      } catch (error) {
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}

/** The JSON payload of a compact JWS if one of these public keys (a JWK or a key set as JSON text) signed it, else undefined. */
export async function verifySignature(jws: string, publicKeys: string): Promise<unknown> {
  try {
    const parsed = JSON.parse(publicKeys) as JWK | JSONWebKeySet;
    const keys = createLocalJWKSet("keys" in parsed ? (parsed as JSONWebKeySet) : { keys: [parsed as JWK] });
    const { payload } = await compactVerify(jws, keys, { algorithms: ["ES256"] });
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    // Every way in which a signature can be wrong has one answer: it proves nothing.
    return undefined;
  }
}
