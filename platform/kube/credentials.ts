import type { ClusterConfig, Credentials } from "./config.ts";
import type { KubeTime } from "./ports.ts";

/** Tokens bound to a pod are rotated at 80 % of their hour, and certificates less often: a minute of age is harmless. */
const MAX_AGE_MS = 60_000;

/** Credentials that are read from their source again when they are older than a minute, or when they were refused. */
export function rereading(
  read: () => Credentials | Promise<Credentials>,
  time: KubeTime,
): ClusterConfig["credentials"] {
  let cached: { readonly credentials: Credentials; readonly readAtMs: number } | undefined;
  return async (request) => {
    const nowMs = time.monotonicMs();
    if (cached === undefined || request?.fresh === true || nowMs - cached.readAtMs > MAX_AGE_MS)
      cached = { credentials: await read(), readAtMs: nowMs };
    return cached.credentials;
  };
}
