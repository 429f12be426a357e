import { publicHalf } from "../platform/credentials.ts";
import { formatTime, type KubeObject } from "../platform/kube/objects.ts";
import { ANNOTATIONS } from "./api/names.ts";
import type { Chance } from "./chance.ts";
import { textsOf } from "./observed.ts";

export type Jwk = Readonly<Record<string, unknown>>;

/** Keys of a region's gateways. */
export interface GatewayKeys {
  /** Private: the gateways sign with it. */
  readonly signing: Jwk;
  /** Private: they will after the next change, and every service knows its public half long before. */
  readonly next: Jwk | undefined;
  /** Public: what services trust. */
  readonly published: readonly Jwk[];
  /** The last request for a change that was met. */
  readonly request: string | undefined;
  /** When any of it was last changed; undefined when nobody has noted it. */
  readonly changedAtMs: number | undefined;
}

/** What is to be done with the keys now. `prepared`: the next key is made and published. */
export type KeyStep =
  | { readonly kind: "rest" }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "prepared" | "started" | "ended"; readonly keys: GatewayKeys };

/**
 * So long until whatever is published is known to every service, and until no gateway signs with the key before: kubelets bring a changed
 * Secret into pods within some two minutes, gateways read theirs every few seconds, and a token is good for one minute.
 */
export const SPREAD_MS = 10 * 60_000;

const SIGNING = "gateway-key.jwk";
const NEXT = "next-gateway-key.jwk";
const PUBLISHED = "jwks.json";
const MAX_REQUEST = 256;

/**
 * The next step of a change of keys: the published next key becomes the one that signs, the one before stays good for SPREAD_MS, and then
 * is worthless. One change after the other.
 */
export async function keyStep(
  now: GatewayKeys,
  asked: string | undefined,
  nowMs: number,
  chance: Pick<Chance, "keyPair">,
): Promise<KeyStep> {
  const { signing, next, published, request, changedAtMs } = now;
  const isPublished = (key: Jwk) => published.some(({ kid }) => kid === key.kid);
  const former = published.filter(({ kid }) => kid !== signing.kid && kid !== next?.kid);
  const changed = (kind: "prepared" | "started" | "ended", keys: Parameters<typeof keysOf>[0]): KeyStep => ({
    kind,
    keys: keysOf(keys, request, nowMs),
  });
  if (next === undefined || changedAtMs === undefined || !isPublished(signing) || !isPublished(next)) {
    const fresh = next ?? (await chance.keyPair()).privateJwk;
    return changed("prepared", { signing, next: fresh, former });
  }
  const word = requestOf(asked);
  const wanted = word !== undefined && word !== request;
  if (former.length === 0 && !wanted) return { kind: "rest" };
  // A clock that was set back is no reason to wait longer.
  const leftMs = Math.min(SPREAD_MS, changedAtMs + SPREAD_MS - nowMs);
  if (leftMs > 0) return { kind: "wait", ms: leftMs };
  if (former.length > 0) return changed("ended", { signing, next, former: [] });
  const fresh = (await chance.keyPair()).privateJwk;
  const keys = keysOf({ signing: next, next: fresh, former: [publicHalf(signing)] }, word, nowMs);
  return { kind: "started", keys };
}

/** The keys that a region begins with; nothing is newer than they are, whatever was asked for. */
export async function firstKeys(
  asked: string | undefined,
  nowMs: number,
  chance: Pick<Chance, "keyPair">,
): Promise<GatewayKeys> {
  const signing = (await chance.keyPair()).privateJwk;
  const next = (await chance.keyPair()).privateJwk;
  return keysOf({ signing, next, former: [] }, requestOf(asked), nowMs);
}

function requestOf(asked: string | undefined): string | undefined {
  return asked === undefined || asked === "" ? undefined : asked.slice(0, MAX_REQUEST);
}

function keysOf(
  { signing, next, former }: { signing: Jwk; next: Jwk; former: readonly Jwk[] },
  request: string | undefined,
  changedAtMs: number,
): GatewayKeys {
  const published = [publicHalf(signing), publicHalf(next), ...former];
  return { signing, next, published, request, changedAtMs };
}

/** Annotations and data of the Secret that holds the keys. */
export function toSecret({ signing, next, published, request, changedAtMs = 0 }: GatewayKeys) {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64");
  return {
    annotations: {
      ...(request === undefined ? {} : { [ANNOTATIONS.rotateCredentials]: request }),
      [ANNOTATIONS.rotatedAt]: formatTime(changedAtMs),
    },
    data: {
      [SIGNING]: encode(signing),
      ...(next === undefined ? {} : { [NEXT]: encode(next) }),
      [PUBLISHED]: encode({ keys: published }),
    },
  };
}

/** The keys in a Secret; undefined when it has none that can be read. */
export function fromSecret(secret: KubeObject | undefined): GatewayKeys | undefined {
  if (secret === undefined) return undefined;
  const texts = textsOf(secret);
  const signing = jsonIn<Jwk>(texts[SIGNING]);
  const published = publishedIn(secret);
  if (typeof signing?.kid !== "string" || published === undefined) return undefined;
  const { [ANNOTATIONS.rotateCredentials]: request, [ANNOTATIONS.rotatedAt]: at = "" } =
    secret.metadata.annotations ?? {};
  const next = jsonIn<Jwk>(texts[NEXT]);
  const changedAtMs = Date.parse(at);
  return {
    ...{ signing, published, request },
    next: typeof next?.kid === "string" ? next : undefined,
    changedAtMs: Number.isNaN(changedAtMs) ? undefined : changedAtMs,
  };
}

/** Public keys that a Secret lists; undefined while there is no readable list. */
export function publishedIn(secret: KubeObject | undefined): readonly Jwk[] | undefined {
  const listed = secret && jsonIn<{ keys?: Jwk[] }>(textsOf(secret)[PUBLISHED]);
  return Array.isArray(listed?.keys) ? listed.keys : undefined;
}

function jsonIn<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}
