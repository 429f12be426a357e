import type { KeyPair } from "./build/secrets.ts";

/** What is known of the orders that a draining cell still has. */
export type Draining =
  | { readonly kind: "open"; readonly bucket: string }
  | { readonly kind: "empty" }
  | { readonly kind: "unknown"; readonly why: string };

/** Whom to ask. */
export interface DrainTarget {
  /** Base URL of the cell's orders service. */
  readonly url: string;
  /** Key by which the cell's services know each other. */
  readonly key: KeyPair;
}

export interface DrainWatch {
  /** The last answer; asks again in the background when it is older than DRAIN_POLL_MS. Never waits. */
  of(center: string, target: DrainTarget | undefined): Draining;
  /** For a center that is not drained any more. */
  forget(center: string): void;
}

export const DRAIN_POLL_MS = 5000;
const TIMEOUT_MS = 2000;
const MAX_ASKING = 16;
const MAX_ANSWER_BYTES = 4096;

const NOT_ASKED: Draining = { kind: "unknown", why: "the cell has not been asked yet" };

interface Known {
  state: Draining;
  askedAtMs: number;
  asking: boolean;
}

/**
 * Asks draining cells how many orders they still have. A cell that does not answer holds up nobody: a pass takes what is known, and
 * `onChange` wakes the center when that changes.
 */
export function createDrainWatch(options: {
  readonly nowMs: () => number;
  readonly onChange: (center: string) => void;
  readonly ask?: (center: string, target: DrainTarget) => Promise<Draining>;
}): DrainWatch {
  const { nowMs, onChange, ask = askCell } = options;
  const known = new Map<string, Known>();
  let asking = 0;

  async function refresh(center: string, target: DrainTarget, entry: Known): Promise<void> {
    entry.asking = true;
    entry.askedAtMs = nowMs();
    asking++;
    const state = await ask(center, target);
    asking--;
    entry.asking = false;
    const changed = JSON.stringify(state) !== JSON.stringify(entry.state);
    entry.state = state;
    if (changed && known.get(center) === entry) onChange(center);
  }

  return {
    of(center, target) {
      if (target === undefined) return { kind: "unknown", why: "its orders service has no address yet" };
      const entry = known.get(center) ?? {
        state: NOT_ASKED,
        askedAtMs: Number.NEGATIVE_INFINITY,
        asking: false,
      };
      known.set(center, entry);
      // A little early, so that the pass that was asked for after this time does not come a moment too soon.
      const due = nowMs() - entry.askedAtMs >= DRAIN_POLL_MS * 0.9;
      if (due && !entry.asking && asking < MAX_ASKING) void refresh(center, target, entry);
      return entry.state;
    },
    forget: (center) => void known.delete(center),
  };
}

/** One request for `GET /internal/drain`; every way in which it may fail is an answer. */
export async function askCell(center: string, { url, key }: DrainTarget): Promise<Draining> {
  try {
    // Loaded when the first cell is drained.
    const { createSigner } = await import("../platform/trust.ts");
    const signer = await createSigner({ jwk: key.privateJwk, issuer: "cell", subject: "operator" });
    const response = await fetch(`${url}/internal/drain`, {
      headers: { authorization: `Bearer ${await signer.token(center)}`, accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: "error",
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return { kind: "unknown", why: `its orders service answered ${response.status}` };
    }
    return readingOf(await textOf(response));
  } catch (error) {
    const slow = (error as Error).name === "TimeoutError";
    return {
      kind: "unknown",
      why: slow
        ? `its orders service did not answer in ${TIMEOUT_MS} ms`
        : "its orders service was not reached",
    };
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) return "";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readingOf(text: string): Draining {
  try {
    const { openOrders, openEffects } = JSON.parse(text) as { openOrders?: unknown; openEffects?: unknown };
    if (isCount(openOrders) && isCount(openEffects)) return bucketOf(openOrders, openEffects);
  } catch {
    // What is no JSON is no answer.
  }
  return { kind: "unknown", why: "its orders service answered something else" };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** In steps of ten, so that the status changes a few times and not with every order. */
export function bucketOf(openOrders: number, openEffects: number): Draining {
  if (openOrders === 0 && openEffects === 0) return { kind: "empty" };
  if (openOrders === 0) return { kind: "open", bucket: "no order, but payments or stock of some" };
  const bucket = [10, 100, 1000].find((bound) => openOrders < bound);
  return {
    kind: "open",
    bucket: bucket === undefined ? "1000 orders or more" : `fewer than ${bucket} orders`,
  };
}
