import { createHmac, timingSafeEqual } from "node:crypto";

/** Header that proves who sent a webhook: `t=<unix seconds>,v1=<hex>`, with more than one `v1` while secrets change. */
export const SIGNATURE_HEADER = "x-webhook-signature";
/** How far a signature's time may be from the receiver's: what was overheard is worth nothing after it. */
export const TOLERANCE_SECONDS = 300;
const MAX_HEADER = 1_024;
const MAX_SIGNATURES = 4;

/** HMAC-SHA-256 (RFC 2104) over the time and the body as it travels: neither can be changed alone. */
function digestOf(secret: string, atSeconds: number, body: string): Buffer {
  return createHmac("sha256", secret).update(`${atSeconds}.${body}`).digest();
}

/** The header's value for a body that is sent now. */
export function signWebhook(secret: string, body: string, atSeconds: number): string {
  return `t=${atSeconds},v1=${digestOf(secret, atSeconds, body).toString("hex")}`;
}

/** `missing`: no header that can be read. `forged`: none of the secrets made it. `stale`: good once, or a clock is wrong. */
export type WebhookVerdict = "good" | "missing" | "forged" | "stale";

/** Judges a webhook. Only the holder of a secret learns that a signature is stale. */
export function verifyWebhook(input: {
  readonly secrets: readonly string[];
  readonly header: string | undefined;
  /** As it came, byte for byte. */
  readonly body: string;
  readonly nowSeconds: number;
}): WebhookVerdict {
  const parsed = parseHeader(input.header);
  if (!parsed) return "missing";
  const expected = input.secrets.map((secret) => digestOf(secret, parsed.atSeconds, input.body));
  const isGood = parsed.signatures.some((signature) =>
    expected.some((digest) => timingSafeEqual(digest, signature)),
  );
  if (!isGood) return "forged";
  return Math.abs(input.nowSeconds - parsed.atSeconds) <= TOLERANCE_SECONDS ? "good" : "stale";
}

function parseHeader(header = ""): { atSeconds: number; signatures: Buffer[] } | undefined {
  if (header.length > MAX_HEADER) return undefined;
  const parts = header.split(",").map((part) => part.trim());
  const at = parts.flatMap((part) => /^t=(\d{1,12})$/.exec(part)?.[1] ?? []);
  const signatures = parts.flatMap((part) => /^v1=([0-9a-f]{64})$/.exec(part)?.[1] ?? []);
  if (at.length !== 1 || signatures.length === 0 || signatures.length > MAX_SIGNATURES) return undefined;
  return { atSeconds: Number(at[0]), signatures: signatures.map((hex) => Buffer.from(hex, "hex")) };
}
