import { createKubeClient } from "../client.ts";
import { createInformer, type Informer } from "../informer.ts";
import { KINDS } from "../kinds.ts";
import type { KubeObject } from "../objects.ts";
import { silentLog, silentMetrics } from "../ports.ts";
import type { ReflectorLimits } from "../reflector.ts";
import { type CutProxy, startCutProxy } from "./cutproxy.ts";
import { countingMetrics, type RealServer } from "./realserver.ts";

/** ConfigMaps of one test on a real server, followed over a line that can be cut. */
export interface Followed {
  readonly proxy: CutProxy;
  readonly metrics: ReturnType<typeof countingMetrics>;
  /** Of the last `follow`. */
  readonly informer: Informer<KubeObject>;
  /** Begins to follow what has the label `test` with the name of the test, and waits for the first list. */
  follow(limits?: Partial<ReflectorLimits>): Promise<void>;
  /** Follows no more; what is there stays to be read. */
  end(): Promise<void>;
  close(): Promise<void>;
}

/** Makes the line; nothing is followed before `follow`. `label` is also the name that the server sees. */
export async function startFollowed(real: RealServer, label: string): Promise<Followed> {
  const proxy = await startCutProxy(Number(new URL(real.server.url).port));
  const config = { ...real.config, server: `https://127.0.0.1:${proxy.port}` };
  const names = { userAgent: label, fieldManager: label };
  const client = createKubeClient(config, { log: silentLog, metrics: silentMetrics, ...names });
  const metrics = countingMetrics();
  const stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let informer: Informer<KubeObject> | undefined;
  const end = async () => {
    stop.abort();
    await running;
  };
  return {
    proxy,
    metrics,
    end,
    get informer() {
      if (informer === undefined) throw new Error("nothing is followed yet");
      return informer;
    },
    async follow(limits = {}) {
      informer = createInformer({
        ...{ client, ref: KINDS.configMap, labelSelector: `test=${label}`, log: silentLog, metrics },
        limits: { backoffMinMs: 50, backoffMaxMs: 500, ...limits },
      });
      running = informer.run(stop.signal);
      await informer.synced(stop.signal);
    },
    async close() {
      await end();
      await client.close();
      await proxy.close();
    },
  };
}
