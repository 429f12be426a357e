import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { FULFILLMENT_CENTER } from "../../operator/api/names.ts";
import { createInformer } from "../../platform/kube/informer.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import type { Session } from "./session.ts";

/**
 * Tells every state of a center, undefined for its end, until `seen` says that it is enough: true. False when
 * `timeoutMs` passed before. Follows by a watch, which survives a connection that breaks.
 */
export async function followCenter(
  session: Session,
  name: string,
  seen: (fc: FulfillmentCenter | undefined) => Promise<boolean> | boolean,
  timeoutMs?: number,
): Promise<boolean> {
  const stop = new AbortController();
  const informer = createInformer<FulfillmentCenter>({
    client: session.client,
    ref: FULFILLMENT_CENTER,
    fieldSelector: `metadata.name=${name}`,
    log: silentLog,
    metrics: silentMetrics,
  });
  let enough = false;
  // One state after the other: what is told takes time, and must not overtake itself.
  let last: Promise<void> = Promise.resolve();
  let failure: unknown;
  const look = () => {
    last = last
      .then(async () => {
        if (enough || !informer.store.hasSynced()) return;
        enough = await seen(informer.store.get(name));
        if (enough) stop.abort();
      })
      .catch((error: unknown) => {
        failure = error;
        stop.abort();
      });
  };
  informer.store.onChange(look);
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => stop.abort(), timeoutMs);
  try {
    const running = informer.run(stop.signal);
    await informer.synced(stop.signal);
    look();
    await running;
    await last;
  } finally {
    clearTimeout(timer);
  }
  if (failure !== undefined) throw failure;
  return enough;
}
