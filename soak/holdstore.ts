import { createHoldStore, readHoldScript } from "../cell/inventory/holds.ts";
import { silentLogger } from "../platform/log.ts";
import { createRedis } from "../platform/redis.ts";
import { CENTER } from "./center.ts";
import { waitFor } from "./time.ts";

/** The hold store as somebody sees it who only looks. */
export interface HoldStoreWatch {
  /** Milliseconds until the store has a generation that can be trusted; undefined when it had none within `boundMs`. */
  untilWhole(boundMs: number): Promise<number | undefined>;
  close(): Promise<void>;
}

const LOOK_MS = 50;

/** Looks at the hold store of the center under load. */
export function watchHoldStore(url: string): HoldStoreWatch {
  const redis = createRedis({ url, log: silentLogger() });
  const script = readHoldScript();
  const holds = createHoldStore({ redis, center: CENTER, epoch: 1, script, ratePerSku: 0 });
  return {
    async untilWhole(boundMs) {
      const fromMs = performance.now();
      const isWhole = await waitFor(
        async () => (await holds.status()).generation !== undefined,
        boundMs,
        LOOK_MS,
      );
      return isWhole ? performance.now() - fromMs : undefined;
    },
    close: () => redis.close(),
  };
}
